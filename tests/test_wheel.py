"""What is tested is what is shipped: the wheel is built, looked into, installed elsewhere and run."""

from __future__ import annotations

import configparser
import subprocess
import sys
import sysconfig
import tomllib
import zipfile
from pathlib import Path

import pytest

import experimenter

ROOT = Path(__file__).resolve().parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
PACKAGES = {
    "experimenter",
    "experimenter_skills",
    "experimenter_curricula",
    "experimenter_memory",
    "experimenter_tui",
}


def _run(*command: str | Path, cwd: Path) -> str:
    done = subprocess.run(
        [str(word) for word in command], capture_output=True, text=True, cwd=cwd, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("dist")
    _run(sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", out, ROOT, cwd=out)
    (built,) = out.glob("rl_experimenter-*.whl")
    return built


@pytest.fixture(scope="module")
def elsewhere(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The ``bin`` folder of a fresh environment that holds the wheel, and borrows only its dependencies from here."""
    home = tmp_path_factory.mktemp("venv")
    _run(sys.executable, "-m", "venv", "--system-site-packages", "--without-pip", home, cwd=home)
    (site,) = home.glob("lib/python*/site-packages")
    (site / "borrowed.pth").write_text(sysconfig.get_path("purelib") + "\n")
    python = home / "bin" / "python"
    install = ["install", "--quiet", "--no-deps", "--no-index", "--ignore-installed", wheel]
    _run(sys.executable, "-m", "pip", "--python", python, "--disable-pip-version-check", *install, cwd=home)
    return home / "bin"


def test_holds_the_five_packages_and_nothing_else(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        tops = {name.split("/")[0] for name in archive.namelist()}
    assert {top for top in tops if not top.endswith(".dist-info")} == PACKAGES


def test_holds_every_source_file_and_the_type_marker(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        shipped = set(archive.namelist())
    kernel = {str(path.relative_to(ROOT)) for path in (ROOT / "experimenter").rglob("*.py")}
    assert kernel <= shipped
    assert "experimenter/py.typed" in shipped


def test_holds_the_licence_and_the_entry_points(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        licence = next(name for name in archive.namelist() if name.endswith("licenses/LICENSE"))
        assert "Apache License" in archive.read(licence).decode()
        entries = next(name for name in archive.namelist() if name.endswith("entry_points.txt"))
        parser = configparser.ConfigParser()
        parser.read_string(archive.read(entries).decode())
    assert parser["console_scripts"]["experimenter"] == PROJECT["scripts"]["experimenter"]
    for group, wanted in PROJECT["entry-points"].items():
        assert dict(parser[group]) == wanted


def test_installed_elsewhere_the_command_answers(elsewhere: Path, tmp_path: Path) -> None:
    said = _run(elsewhere / "experimenter", "--version", cwd=tmp_path)
    assert PROJECT["version"] in said
    assert experimenter.__version__ == PROJECT["version"]


def test_installed_elsewhere_the_plug_ins_are_the_wheels_own(elsewhere: Path, tmp_path: Path) -> None:
    code = (
        "import experimenter_curricula.auto as a, experimenter as e; print(a.__file__, e.__file__, sep='\\n')"
    )
    places = _run(elsewhere / "python", "-I", "-c", code, cwd=tmp_path).split()
    assert all(Path(place).is_relative_to(elsewhere.parent) for place in places), places


@pytest.mark.parametrize("group", sorted(PROJECT["entry-points"]))
def test_installed_elsewhere_every_entry_point_loads(group: str, elsewhere: Path, tmp_path: Path) -> None:
    code = (
        "from importlib.metadata import entry_points\n"
        f"for entry in entry_points(group={group!r}):\n"
        "    if entry.dist.name == 'rl-experimenter': print(entry.name, entry.load().contract)"
    )
    lines = _run(elsewhere / "python", "-I", "-c", code, cwd=tmp_path).splitlines()
    assert lines == [f"{name} 1" for name in sorted(PROJECT["entry-points"][group])]
