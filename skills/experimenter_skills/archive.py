"""Carries a skill out as a folder or a zip file, and opens a stranger's without believing it.

Of what comes in, only files of known names and sizes are copied, by reading at most so many bytes; links, paths that
lead elsewhere and anything else that no export of ours contains are refused before a byte is written.
"""

from __future__ import annotations

import secrets
import shutil
import stat
import tempfile
import zipfile
import zlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import IO, Final

from experimenter.errors import NotFound, UsageError
from experimenter.workspace.files import make_folder, storage_error, write_atomic

__all__ = ["opened", "pack"]

MOST_ENTRIES: Final = 64
_EPOCH: Final = (1980, 1, 1, 0, 0, 0)
_HINT: Final = "Import what `experimenter skills export` wrote."


def pack(folder: Path, files: Sequence[str], name: str, destination: Path) -> Path:
    """Copies ``files`` of ``folder`` to ``destination``: a zip file if it ends so, else a folder.

    An existing folder gets a new folder ``name`` inside it. Nothing is overwritten. Returns what was written; raises
    UsageError when it is there already, WorkspaceError when it cannot be written.
    """
    zipped = destination.suffix.lower() == ".zip"
    place = destination / name if destination.is_dir() and not zipped else destination
    if place.exists() or place.is_symlink():
        raise UsageError(f"{place} is there already.", "Choose another place; nothing is overwritten.")
    if zipped:
        write_atomic(place, _zipped(folder, files, name))
    else:
        _copy(folder, files, place)
    return place


def _zipped(folder: Path, files: Sequence[str], name: str) -> bytes:
    """The same bytes for the same skill, whenever it is packed."""
    import io

    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for file in files:
            entry = zipfile.ZipInfo(f"{name}/{file}", _EPOCH)
            entry.external_attr = 0o644 << 16
            entry.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(entry, (folder / file).read_bytes())
    return out.getvalue()


def _copy(folder: Path, files: Sequence[str], place: Path) -> None:
    aside = make_folder(place.parent) / f".{place.name}.{secrets.token_hex(4)}.aside"
    try:
        for file in files:
            write_atomic(aside / file, (folder / file).read_bytes())
        aside.rename(place)
    except OSError as error:
        raise storage_error(place, error) from error
    finally:
        shutil.rmtree(aside, ignore_errors=True)


@contextmanager
def opened(source: Path, wanted: Mapping[str, int]) -> Iterator[Path]:
    """A temporary folder with the ``wanted`` files (name to most bytes) of a stranger's folder or zip file.

    Raises NotFound where nothing is there, UsageError when a file is missing, too large, a link, or leads elsewhere.
    """
    if not source.exists():
        raise NotFound(f"There is nothing at {source}.", "Name a skill's folder, or its .zip file.")
    with tempfile.TemporaryDirectory(prefix="experimenter-skill-") as place:
        if source.is_dir():
            _from_folder(source, wanted, Path(place))
        else:
            _from_zip(source, wanted, Path(place))
        yield Path(place)


def _from_folder(source: Path, wanted: Mapping[str, int], place: Path) -> None:
    for name, most in wanted.items():
        path = source / name
        try:
            mode = path.lstat().st_mode
        except OSError as error:
            raise _refused(source, f"it has no {name}") from error
        if not stat.S_ISREG(mode):
            raise _refused(source, f"its {name} is a link or no plain file")
        try:
            with path.open("rb") as handle:
                write_atomic(place / name, _bounded(handle, most, name, source))
        except OSError as error:
            raise _refused(source, f"its {name} cannot be read ({error.strerror})") from error


def _from_zip(source: Path, wanted: Mapping[str, int], place: Path) -> None:
    try:
        with zipfile.ZipFile(source) as archive:
            for name, entry in _entries(archive, wanted, source).items():
                with archive.open(entry) as handle:
                    write_atomic(place / name, _bounded(handle, wanted[name], name, source))
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError, OSError) as error:
        raise _refused(source, f"it is no sound zip file ({error})") from error


def _entries(archive: zipfile.ZipFile, wanted: Mapping[str, int], source: Path) -> dict[str, zipfile.ZipInfo]:
    """The wanted entries by their plain names, all in one folder; every entry is looked at first."""
    listed = archive.infolist()
    if len(listed) > MOST_ENTRIES:
        raise _refused(source, f"it holds {len(listed):,} entries")
    found: dict[str, zipfile.ZipInfo] = {}
    folders = set()
    for entry in listed:
        path = _safe(entry, source)
        if path.name in wanted and not entry.is_dir() and len(path.parts) <= 2:
            if path.name in found:
                raise _refused(source, f"it holds {path.name} twice")
            found[path.name] = entry
            folders.add(path.parent)
    missing = [name for name in wanted if name not in found]
    if missing or len(folders) > 1:
        raise _refused(source, f"it has no {missing[0]}" if missing else "its files are in several folders")
    return found


def _safe(entry: zipfile.ZipInfo, source: Path) -> PurePosixPath:
    path, kind = PurePosixPath(entry.filename), stat.S_IFMT(entry.external_attr >> 16)
    leads = path.is_absolute() or ".." in path.parts or "\\" in entry.filename or ":" in entry.filename
    if leads:
        raise _refused(source, f"it holds the path {entry.filename[:80]!r}, which leads elsewhere")
    if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
        raise _refused(source, f"{entry.filename[:80]!r} is a link or no plain file")
    return path


def _bounded(handle: IO[bytes], most: int, name: str, source: Path) -> bytes:
    """Reads no more than ``most`` bytes, whatever size was announced."""
    data = handle.read(most + 1)
    if len(data) > most:
        raise _refused(source, f"its {name} is larger than {most:,} bytes")
    return data


def _refused(source: Path, why: str) -> UsageError:
    return UsageError(f"{source} is not taken in: {why}.", _HINT)
