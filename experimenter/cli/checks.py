"""The doctor's checks: each looks at one thing and says what it found, whether it serves, and what would help."""

from __future__ import annotations

import importlib.util
import os
import platform
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Final, Literal

from experimenter.errors import ContainmentError, ExperimenterError

__all__ = ["Check", "all_checks"]

_PACKAGES: Final = ("gymnasium", "numpy", "langgraph", "optuna", "pydantic", "textual")
_EXTRAS: Final = (("minigrid", "minigrid"), ("box2d", "Box2D"), ("mujoco", "mujoco"))
_LEAST_MEMORY: Final = 1024
_MEGABYTE: Final = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Check:
    """One finding. ``bad`` means that a run could not work; ``note`` is worth knowing."""

    name: str
    state: Literal["good", "note", "bad"]
    words: str
    hint: str = ""


def all_checks(root: Path) -> tuple[Check, ...]:
    """Everything the doctor looks at, for the workspace in ``root``. Runs nothing that is not quick."""
    return (
        _python(),
        *_packages(),
        *_extras(),
        _cores(),
        _memory(),
        _disk(root),
        _workspace(root),
        *_containment(),
    )


def _python() -> Check:
    words = f"{platform.python_version()} on {platform.system()} {platform.release()} {platform.machine()}"
    return Check("python", "good", words)


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _packages() -> Iterator[Check]:
    own = _version("rl-experimenter")
    yield Check("rl-experimenter", "good" if own else "note", own or "run from its source, not installed")
    for name in _PACKAGES:
        found = _version(name)
        hint = "" if found else f"Install it: pip install {name}"
        yield Check(name, "good" if found else "bad", found or "missing", hint)


def _extras() -> Iterator[Check]:
    for extra, module in _EXTRAS:
        there = importlib.util.find_spec(module) is not None
        hint = "" if there else f"For its environments: pip install 'rl-experimenter[{extra}]'"
        yield Check(
            f"extra {extra}", "good" if there else "note", "installed" if there else "not installed", hint
        )


def _cores() -> Check:
    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return Check("cores", "good", f"{usable} usable of {os.cpu_count()}")


def _memory() -> Check:
    import psutil

    memory = psutil.virtual_memory()
    free, total = memory.available // _MEGABYTE, memory.total // _MEGABYTE
    words = f"{free:,} of {total:,} MB free"
    if free < _LEAST_MEMORY:
        return Check("memory", "note", words, "Close something, or use --workers 1.")
    return Check("memory", "good", words)


def _nearest(path: Path) -> Path:
    """The path, or its closest parent that exists."""
    return next(place for place in (path, *path.parents) if place.exists())


def _disk(root: Path) -> Check:
    from experimenter.config import load_settings
    from experimenter.workspace.files import free_megabytes

    floor = load_settings({}).settings.min_free_megabytes
    free = free_megabytes(_nearest(root))
    words = f"{free:,.0f} MB free for {root}"
    if free < floor:
        return Check("disk", "bad", words, f"A run pauses below {floor} MB: make room, or use --workspace.")
    return Check("disk", "good", words)


def _workspace(root: Path) -> Check:
    from experimenter.workspace.store import Workspace

    if not (root / "workspace.sqlite").exists():
        place = _nearest(root)
        if not os.access(place, os.W_OK):
            return Check("workspace", "bad", f"{place} is not writable", "Choose another with --workspace.")
        return Check("workspace", "good", f"none yet; the first run makes {root}")
    try:
        with Workspace.open(root, create=False) as store:
            return Check("workspace", "good", f"{len(store.runs())} runs in {root}")
    except ExperimenterError as error:
        return Check("workspace", "bad", error.message, error.hint)


def _containment() -> Iterator[Check]:
    from experimenter.sandbox.level import containment

    try:
        found = containment()
    except ContainmentError as error:
        yield Check("containment", "bad", error.message, error.hint)
        return
    hint = (
        ""
        if found.level != "none"
        else "Use Linux 5.13 or newer; --allow-unsandboxed runs without, at your risk."
    )
    yield Check(
        "containment", "bad" if found.level == "none" else "good", f"{found.level}: {found.words}", hint
    )
    for probe in found.probes:
        state: Literal["good", "note"] = "good" if probe.refused else "note"
        yield Check(f"probe: {probe.name}", state, "refused" if probe.refused else "NOT refused")
