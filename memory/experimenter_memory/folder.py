"""The index's folder: its bytes are exactly what was written when it was last closed, or it is thrown away.

A library that reads a damaged index may answer wrongly or end the whole process. So a manifest beside the files holds
their checksums; it is removed while the index is open, and anything that does not match it is made anew.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path
from typing import Any, Final

from experimenter.workspace.files import write_atomic

__all__ = ["FOLDER", "LOCK", "discard", "open_manifest", "was_closed", "write_manifest"]

FOLDER: Final = "chroma"
# Beside the folder and not in it, so that deleting the folder does not make two owners.
LOCK: Final = "chroma.lock"
_MANIFEST: Final = "manifest.json"
_BLOCK: Final = 1 << 20


def open_manifest(folder: Path) -> dict[str, Any] | None:
    """What ``write_manifest`` kept, if every file is as it was then; the manifest is gone afterwards."""
    path = folder / _MANIFEST
    try:
        told = json.loads(path.read_bytes())
        path.unlink()
        whole = isinstance(told, dict) and told.get("files") == _checksums(folder)
    except (OSError, ValueError, RecursionError):
        return None
    return told if whole else None


def was_closed(folder: Path) -> bool:
    """Whether an index was closed here in good order, going by its manifest alone."""
    return (folder / _MANIFEST).is_file()


def write_manifest(folder: Path, facts: dict[str, Any]) -> None:
    """Keeps ``facts`` with the checksums of all files of a closed index."""
    write_atomic(folder / _MANIFEST, json.dumps({**facts, "files": _checksums(folder)}))


def discard(folder: Path) -> None:
    """Removes the folder: it is only an index. Raises OSError where it cannot be removed."""
    if folder.is_symlink() or folder.is_file():
        folder.unlink()
    elif folder.exists():
        shutil.rmtree(folder)


def _checksums(folder: Path) -> dict[str, str]:
    files = sorted(path for path in folder.rglob("*") if path.is_file() and path.name != _MANIFEST)
    return {str(path.relative_to(folder)): _checksum(path) for path in files}


def _checksum(path: Path) -> str:
    sums = hashlib.blake2b(digest_size=16)
    with path.open("rb") as handle:
        while block := handle.read(_BLOCK):
            sums.update(block)
    return sums.hexdigest()
