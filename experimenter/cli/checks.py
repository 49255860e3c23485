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
# Each with the modules that it brings, and what they are for.
_EXTRAS: Final = (
    ("minigrid", ("minigrid",), "For its environments"),
    ("box2d", ("Box2D",), "For its environments"),
    ("mujoco", ("mujoco",), "For its environments"),
    ("minilm", ("onnxruntime", "tokenizers"), "For --embedder minilm"),
    ("anthropic", ("anthropic", "genai_prices"), "For --planner llm with Anthropic's models"),
    (
        "openai",
        ("openai", "genai_prices"),
        "For --planner llm with OpenAI's models, Ollama or your own server; for --embedder openai:MODEL",
    ),
    ("onnx", ("onnx", "onnxruntime"), "To export policies as ONNX"),
    ("torch", ("torch",), "For convolutions, memory, a graphics card, and TorchScript"),
    ("envpool", ("envpool",), "For --vector envpool"),
    (
        "sb3",
        ("stable_baselines3", "sb3_contrib"),
        "For --algorithm td3, tqc, qrdqn, trpo, maskable-ppo, recurrent-ppo",
    ),
    ("sbx", ("sbx", "jax"), "For --algorithm sbx-sac, sbx-tqc and sbx-td3"),
    ("video", ("imageio_ffmpeg",), "To write MP4 films"),
)
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
    for extra, modules, purpose in _EXTRAS:
        missing = [name for name in modules if importlib.util.find_spec(name) is None]
        if not missing:
            yield Check(f"extra {extra}", "good", "installed")
            continue
        words = "not installed" if len(missing) == len(modules) else f"in part: {', '.join(missing)} missing"
        yield Check(f"extra {extra}", "note", words, f"{purpose}: pip install 'rl-experimenter[{extra}]'")


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
