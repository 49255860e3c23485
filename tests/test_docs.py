"""The pages tell the truth: links lead somewhere, commands parse, code compiles, lists match the code."""

from __future__ import annotations

import ast
import re
import shlex
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PAGES = sorted([ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").rglob("*.md")])
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def _name(page: Path) -> str:
    return str(page.relative_to(ROOT))


def _prose(page: Path) -> str:
    return page.read_text()


def _commands(page: Path) -> list[list[str]]:
    """Every command line in a code block, and every complete one between backticks."""
    text = _prose(page)
    lines = [
        line.strip()
        for line in text.splitlines()
        if re.match(r"( {4,}|)(\.venv/bin/)?experimenter [a-z]", line)
    ]
    lines += re.findall(r"`(experimenter [a-z][^`…]*)`", text)
    return [shlex.split(line, comments=True)[1:] for line in lines if "…" not in line]


@pytest.mark.parametrize("page", PAGES, ids=_name)
def test_links_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#]+)", _prose(page)):
        if "://" not in target:
            assert (page.parent / target).exists(), target


@pytest.mark.parametrize("page", PAGES, ids=_name)
def test_commands_parse(page: Path) -> None:
    import typer

    from experimenter.cli.app import app

    group = typer.main.get_command(app)
    for words in _commands(page):
        command, rest, path = group, list(words), "experimenter"
        while hasattr(command, "commands") and rest:
            assert rest[0] in command.commands, words
            path, command = f"{path} {rest[0]}", command.commands[rest.pop(0)]
        if not hasattr(command, "commands"):
            command.make_context(path, rest).close()


@pytest.mark.parametrize("page", PAGES, ids=_name)
def test_python_compiles_and_its_imports_exist(page: Path) -> None:
    for block in re.findall(r"```python\n(.*?)```", _prose(page), re.S):
        for node in ast.walk(ast.parse(block)):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("experimenter"):
                module = __import__(str(node.module), fromlist=[a.name for a in node.names])
                assert all(hasattr(module, alias.name) for alias in node.names), ast.unparse(node)


def test_every_plug_in_is_listed() -> None:
    page = (ROOT / "docs" / "plugins.md").read_text()
    rows = dict(re.findall(r"^\| `(\w+)` \|[^|]*\|([^|]*)\|", page, re.M))
    for group, entries in PROJECT["entry-points"].items():
        listed = set(re.findall(r"`([\w-]+)`", rows[group.removeprefix("experimenter.")]))
        assert listed == set(entries), group


def test_the_exit_codes_are_the_commands_own() -> None:
    from experimenter.cli.failures import EXIT_CODES

    page = (ROOT / "README.md").read_text()
    rows = [(int(code), words) for code, words in re.findall(r"^\| (\d+) \| (.*?) \|$", page, re.M)]
    assert rows == list(EXIT_CODES)


def test_every_decision_is_listed_and_has_its_four_parts() -> None:
    folder = ROOT / "docs" / "decisions"
    listed = (folder / "README.md").read_text()
    for page in sorted(folder.glob("0*.md")):
        assert f"]({page.name})" in listed
        text = page.read_text()
        places = [text.find(f"**{part}") for part in ("Problem", "Options", "Choice", "Consequences")]
        if "**Options and choices" in text:
            places.pop(2)
        assert -1 not in places and places == sorted(places), page.name


def test_ci_runs_what_the_readme_says() -> None:
    ci, readme = (ROOT / ".ci" / "run").read_text(), (ROOT / "README.md").read_text()
    for target in ("demo", "test"):
        assert re.search(rf"^    make {target}\b", readme, re.M)
        assert re.search(rf"^{target}: ", (ROOT / "Makefile").read_text(), re.M)
    assert "make test" in ci.splitlines() and "make check" in ci.splitlines()


def test_the_planner_of_the_plug_in_page_answers() -> None:
    from experimenter.contracts import Planner
    from experimenter.questions import ChooseLever, WriteRewards
    from experimenter.sandbox.static import static_check

    page = (ROOT / "docs" / "plugins.md").read_text()
    found: dict[str, object] = {}
    exec(re.findall(r"```python\n(.*?)```", page, re.S)[0], found)
    planner = found["Patient"]()  # type: ignore[operator]
    assert isinstance(planner, Planner)
    answer = planner.answer(ChooseLever.model_construct(available=("reward",)))
    assert answer.lever == "reward"  # type: ignore[attr-defined]
    program = planner.answer(WriteRewards.model_construct(count=1)).programs[0]  # type: ignore[attr-defined]
    assert static_check(program.source).fields == {"native_reward", "terminated"}


def test_the_programs_of_the_pages_pass_the_static_check() -> None:
    from experimenter.sandbox.static import static_check

    text = (ROOT / "README.md").read_text()
    programs = [block for block in re.findall(r"```python\n(.*?)```", text, re.S) if "def reward" in block]
    assert programs
    for program in programs:
        assert static_check(program).fields == {"now.position", "next.position", "terminated"}
