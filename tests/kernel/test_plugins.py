"""Plug-ins of strangers, installed for real as entry points in a folder on the path."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from experimenter.errors import ConfigError, NotFound
from experimenter.plugins import load, names

MODULE = """
class Good:
    contract = 1

class Old:
    contract = 0

class Silent:
    pass
"""


def install(folder: Path, package: str, group: str, points: dict[str, str]) -> None:
    """What pip would leave behind for a package with these entry points."""
    info = folder / f"{package}-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: 1.0\n")
    lines = [f"{name} = {value}" for name, value in points.items()]
    (info / "entry_points.txt").write_text("\n".join([f"[experimenter.{group}]", *lines, ""]))


@pytest.fixture
def strangers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "strangers_trackers.py").write_text(MODULE)
    (tmp_path / "strangers_needy.py").write_text("import a_module_nobody_has")
    points = {
        "good": "strangers_trackers:Good",
        "old": "strangers_trackers:Old",
        "silent": "strangers_trackers:Silent",
        "absent": "strangers_trackers:Absent",
        "needy": "strangers_needy:Good",
        "extra": "strangers_needy:Good [cloud]",
        "gone": "strangers_gone:Good",
    }
    install(tmp_path, "strangers-pack", "trackers", points)
    monkeypatch.syspath_prepend(str(tmp_path))
    yield tmp_path
    for name in ("strangers_trackers", "strangers_needy"):
        sys.modules.pop(name, None)


def test_a_stranger_is_found_and_loaded(strangers: Path) -> None:
    assert {"good", "old", "needy"} <= set(names("trackers"))
    assert list(names("trackers")) == sorted(names("trackers"))
    assert load("trackers", "good").__name__ == "Good"


def test_an_unknown_name_lists_what_there_is(strangers: Path) -> None:
    with pytest.raises(NotFound, match="no tracker named goood") as caught:
        load("trackers", "goood")
    assert "Did you mean good" in caught.value.hint
    assert "needy" in caught.value.hint


def test_an_unknown_group_is_refused() -> None:
    with pytest.raises(NotFound, match="no plug-in group planer") as caught:
        names("planer")
    assert "planners" in caught.value.hint


@pytest.mark.parametrize(("name", "said"), [("old", "contract 0"), ("silent", "contract None")])
def test_another_contract_is_refused(strangers: Path, name: str, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        load("trackers", name)


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("needy", "pip install a_module_nobody_has"),
        ("extra", r"pip install 'strangers-pack\[cloud\]'"),
        ("gone", "Reinstall the package that provides it \\(strangers-pack"),
    ],
)
def test_what_is_missing_is_named_with_what_to_install(strangers: Path, name: str, hint: str) -> None:
    with pytest.raises(NotFound, match=hint):
        load("trackers", name)


def test_an_entry_point_to_nothing_is_a_fault_of_its_package(strangers: Path) -> None:
    with pytest.raises(ConfigError, match="which does not exist"):
        load("trackers", "absent")


def test_two_packages_may_not_claim_one_name(strangers: Path) -> None:
    install(strangers, "other-pack", "trackers", {"good": "strangers_other:Good"})
    with pytest.raises(ConfigError, match=r"other-pack .* and strangers-pack"):
        load("trackers", "good")


def test_the_same_package_found_twice_is_one(
    strangers: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    install(strangers, "twin-pack", "trackers", {"good": "strangers_trackers:Good"})
    assert load("trackers", "good").contract == 1
