"""Settings: precedence, origins, and mistakes named with where they stand."""

from __future__ import annotations

import ast
import inspect
from pathlib import Path

import pytest

from experimenter import config
from experimenter.config import Settings, describe_settings, load_settings
from experimenter.errors import ConfigError

NAMES = [name for name in Settings.model_fields if name != "v"]


@pytest.fixture
def user(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The user's own file, not written yet."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    path = tmp_path / "config" / "experimenter" / "config.toml"
    path.parent.mkdir(parents=True)
    return path


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """The project's file, not written yet."""
    (tmp_path / "project").mkdir()
    return tmp_path / "project" / "experimenter.toml"


def test_every_layer_wins_over_the_weaker_ones(
    user: Path, project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def designs(**flags: object) -> tuple[int, str]:
        resolved = load_settings(flags, directory=project.parent)
        return resolved.settings.designs, resolved.origins["designs"]

    assert designs() == (8, "default")
    user.write_text("designs = 2")
    assert designs() == (2, str(user))
    project.write_text("designs = 3")
    assert designs() == (3, str(project))
    monkeypatch.setenv("EXPERIMENTER_DESIGNS", "4")
    assert designs() == (4, "EXPERIMENTER_DESIGNS")
    assert designs(designs=5) == (5, "flag")
    assert designs(designs=None) == (4, "EXPERIMENTER_DESIGNS")


def test_values_of_every_kind_from_variables(
    user: Path, project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = {
        "ALLOW_UNSANDBOXED": "true",
        "BUDGET_STEPS": "none",
        "BUDGET_SECONDS": "90.5",
        "CONTROLS": "none",
        "WORKSPACE": "",
        "DEBUG": "1",
    }
    for name, value in given.items():
        monkeypatch.setenv(f"EXPERIMENTER_{name}", value)
    found = load_settings({}, directory=project.parent).settings
    assert (found.allow_unsandboxed, found.budget_steps, found.budget_seconds) == (True, None, 90.5)
    assert (found.controls, found.workspace) == ("none", "experiments")


def test_a_limit_is_lifted_in_a_file_by_none(user: Path, project: Path) -> None:
    project.write_text('budget_steps = "none"\nbudget_seconds = 60')
    found = load_settings({}, directory=project.parent)
    assert (found.settings.budget_steps, found.settings.budget_seconds) == (None, 60.0)
    assert found.origins["budget_steps"] == str(project)


@pytest.mark.parametrize(
    ("text", "key", "hint"),
    [
        ("desings = 3", "desings is not a setting", "designs"),
        ("designs = 0", "designs = 0", "Candidate designs"),
        ('designs = "many"', "designs = 'many'", "The default is 8"),
        ('controls = "some"', "controls = 'some'", "Equal-budget arms"),
        ("silence_seconds = nan", "silence_seconds = nan", "ended"),
        ("v = 1", "v is not a setting", "config show"),
        ("[run]\ndesigns = 3", "run is not a setting", "config show"),
        ("designs = ", "not valid TOML", "key = value"),
    ],
)
def test_a_mistake_in_a_file_names_file_and_key(
    user: Path, project: Path, text: str, key: str, hint: str
) -> None:
    project.write_text(text)
    with pytest.raises(ConfigError) as caught:
        load_settings({}, directory=project.parent)
    assert str(project) in caught.value.message
    assert key in caught.value.message
    assert hint in caught.value.hint


def test_a_mistake_that_a_flag_overrides_is_still_named(user: Path, project: Path) -> None:
    project.write_text("designs = -1")
    with pytest.raises(ConfigError, match="designs = -1"):
        load_settings({"designs": 3}, directory=project.parent)


def test_mistakes_in_variables_and_flags_name_them(
    user: Path, project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(ConfigError, match="--confirm-seeds = 0 is refused"):
        load_settings({"confirm_seeds": 0}, directory=project.parent)
    monkeypatch.setenv("EXPERIMENTER_WORKER", "3")
    with pytest.raises(ConfigError, match="EXPERIMENTER_WORKER is not a setting") as caught:
        load_settings({}, directory=project.parent)
    assert "workers" in caught.value.hint


def test_a_file_that_is_no_text_is_refused(user: Path, project: Path) -> None:
    user.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ConfigError, match="cannot be read"):
        load_settings({}, directory=project.parent)


def test_every_setting_is_described_with_its_origin(user: Path, project: Path) -> None:
    lines = describe_settings(load_settings({"planner": "random"}, directory=project.parent))
    assert [line.name for line in lines] == NAMES
    assert all(line.description.endswith(".") for line in lines)
    (planner,) = [line for line in lines if line.name == "planner"]
    assert (planner.value, planner.origin) == ("random", "flag")


def test_settings_are_frozen_flat_and_survive_json() -> None:
    settings = Settings(designs=3)
    assert Settings.model_validate_json(settings.model_dump_json()) == settings
    with pytest.raises(ValueError, match="frozen"):
        settings.designs = 4  # type: ignore[misc]
    for name in NAMES:
        value = getattr(settings, name)
        parts = value.values() if isinstance(value, dict) else value if isinstance(value, tuple) else ()
        assert all(isinstance(part, str) for part in parts), name


def test_tables_are_read_from_files_and_variables_alike(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "experimenter.toml").write_text('notes = "be quick"\n[aliases]\nfast = "ollama:llama3.1"\n')
    monkeypatch.setenv("EXPERIMENTER_ROUTES", "choose_lever=search; reflect = llm")
    settings = load_settings({"models": ["judge=fast"]}, directory=tmp_path).settings
    assert settings.aliases == {"fast": "ollama:llama3.1"}
    assert settings.routes == {"choose_lever": "search", "reflect": "llm"}
    assert settings.models == {"judge": "fast"}
    assert settings.notes == ("be quick",)


@pytest.mark.parametrize("wrong", ["choose_lever", "=search", "choose_lever="])
def test_a_table_that_is_none_is_refused_by_its_origin(
    wrong: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EXPERIMENTER_ROUTES", wrong)
    with pytest.raises(ConfigError, match=r"EXPERIMENTER_ROUTES.*name=value"):
        load_settings({}, directory=tmp_path)


def test_no_heavy_library_is_imported_by_the_configuration() -> None:
    imported = {
        (node.module if isinstance(node, ast.ImportFrom) else node.names[0].name) or ""
        for node in ast.walk(ast.parse(inspect.getsource(config)))
        if isinstance(node, (ast.Import, ast.ImportFrom))
    }
    assert not {name.partition(".")[0] for name in imported} & {
        "torch",
        "numpy",
        "gymnasium",
        "optuna",
        "langgraph",
    }
