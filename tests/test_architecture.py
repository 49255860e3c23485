"""The house rules that a machine can hold: who imports whom, what an import costs, what a function may weigh."""

from __future__ import annotations

import ast
import importlib
import json
import os
import pkgutil
import resource
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
HOMES = {
    "experimenter": ROOT / "experimenter",
    "experimenter_skills": ROOT / "skills" / "experimenter_skills",
    "experimenter_curricula": ROOT / "curricula" / "experimenter_curricula",
    "experimenter_memory": ROOT / "memory" / "experimenter_memory",
    "experimenter_tui": ROOT / "tui" / "experimenter_tui",
}
FACE_NEVER_LOADS = {
    "torch",
    "langgraph",
    "langchain_core",
    "gymnasium",
    "optuna",
    "matplotlib",
    "chromadb",
    "textual",
}
KERNEL_NEVER_LOADS = {"torch", "chromadb", "openai", "anthropic", "minigrid"}
LONGEST_FUNCTION = 60

# Numeric kernels read better from top to bottom than in pieces: "file:function".
LONG_FUNCTIONS: set[str] = set()

# Where anything at all may be raised: strangers' code, and the faces.
CATCHES_EVERYTHING: set[str] = {
    "experimenter/cli/app.py",
    "experimenter/envs/faults.py",
    "experimenter/envs/vector.py",
    "experimenter/execution/worker.py",
    "experimenter/loop/runner.py",
    "experimenter/plugins.py",
    "experimenter/rl/foreign.py",
    "experimenter/sandbox/worker.py",
}


def _environment() -> dict[str, str]:
    places = [*dict.fromkeys(str(home.parent) for home in HOMES.values()), os.environ.get("PYTHONPATH", "")]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, places))}


def _python(code: str, cwd: Path | None = None) -> str:
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env=_environment(), cwd=cwd, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def _sources() -> list[Path]:
    return sorted(path for home in HOMES.values() for path in home.rglob("*.py"))


def _modules() -> list[str]:
    names = list(HOMES)
    for name, home in HOMES.items():
        names += [found.name for found in pkgutil.walk_packages([str(home)], f"{name}.")]
    return [name for name in names if not name.endswith("__main__")]


def test_import_contracts_hold(tmp_path: Path) -> None:
    command = [str(Path(sys.executable).with_name("lint-imports")), "--cache-dir", str(tmp_path), "--no-logo"]
    done = subprocess.run(command, capture_output=True, text=True, env=_environment(), cwd=ROOT, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def _loaded_after(statement: str) -> set[str]:
    code = (
        f"import json, sys; {statement}; print(json.dumps(sorted({{n.split('.')[0] for n in sys.modules}})))"
    )
    return set(json.loads(_python(code)))


@pytest.mark.parametrize(
    "statement", ["import experimenter", "import experimenter.cli", "import experimenter.api"]
)
def test_a_face_loads_nothing_heavy(statement: str) -> None:
    assert not _loaded_after(statement) & FACE_NEVER_LOADS


def test_the_bare_package_does_not_even_load_numpy() -> None:
    assert not _loaded_after("import experimenter") & {"numpy", "pydantic", "typer", "rich"}


def test_every_module_imports_quietly_and_without_optional_libraries(tmp_path: Path) -> None:
    """In an empty folder, which stays empty: importing does no work, prints nothing, needs no extra."""
    code = f"import importlib, sys\nfor name in {_modules()!r}: importlib.import_module(name)\n"
    code += f"print('LOADED', sorted(set(sys.modules) & {KERNEL_NEVER_LOADS!r}))"
    assert _python(code, cwd=tmp_path) == "LOADED []\n"
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", _modules())
def test_public_names_exist(name: str) -> None:
    module = importlib.import_module(name)
    names = list(getattr(module, "__all__", []))
    assert len(names) == len(set(names))
    missing = [public for public in names if not hasattr(module, public)]
    assert missing == []


def test_the_front_door_lists_what_it_offers() -> None:
    import experimenter

    assert set(experimenter._HOMES) | {"__version__"} == set(experimenter.__all__)
    assert dir(experimenter) == sorted(experimenter.__all__)
    with pytest.raises(AttributeError, match="no_such_name"):
        experimenter.no_such_name  # noqa: B018


def test_help_is_quick() -> None:
    """Processor time, best of three: the wall's would tell how busy this machine is."""
    code = (
        "import sys; sys.argv = ['experimenter', '--help']; from experimenter.cli import main; " + _RUN_MAIN
    )
    assert min(_processor_seconds(code) for _ in range(3)) < 0.5


def _processor_seconds(code: str) -> float:
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    _python(code)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


_RUN_MAIN = "\ntry:\n    code = main()\nexcept SystemExit as end:\n    code = end.code\nassert not code, code"


def _functions(path: Path) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node


def _length(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """Lines of the body: a command's options, declared in its signature, are no steps to follow."""
    return (function.end_lineno or 0) - function.body[0].lineno + 1


def test_no_function_is_long() -> None:
    long = {
        f"{path.relative_to(ROOT)}:{function.name}"
        for path in _sources()
        for function in _functions(path)
        if _length(function) > LONGEST_FUNCTION
    }
    assert long == LONG_FUNCTIONS


def _names(kind: ast.expr | None) -> set[str]:
    if isinstance(kind, ast.Tuple):
        return {name for one in kind.elts for name in _names(one)}
    return {kind.id} if isinstance(kind, ast.Name) else set() if kind else {"BaseException"}


def _catches_everything(path: Path) -> bool:
    """Whether a handler swallows anything at all; one that cleans up and raises again does not."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ExceptHandler) and _names(node.type) & {"Exception", "BaseException"}:
            last = node.body[-1]
            if not (isinstance(last, ast.Raise) and last.exc is None):
                return True
    return False


def test_only_the_borders_catch_everything() -> None:
    assert {
        str(path.relative_to(ROOT)) for path in _sources() if _catches_everything(path)
    } == CATCHES_EVERYTHING


def test_nothing_is_pickled_and_nothing_is_evaluated() -> None:
    """Policies are safetensors, messages JSON; only the reward worker may execute source."""
    for path in _sources():
        names = {
            a.name
            for n in ast.walk(ast.parse(path.read_text()))
            if isinstance(n, ast.Import)
            for a in n.names
        }
        assert not names & {"pickle", "marshal", "shelve", "dill", "cloudpickle"}, path


def test_every_module_says_why_it_exists() -> None:
    silent = [
        str(path.relative_to(ROOT))
        for path in _sources()
        if not ast.get_docstring(ast.parse(path.read_text()))
    ]
    assert silent == []
