"""A workspace with one certified skill, and the command line in this process, for the tests of skills."""

from __future__ import annotations

import io
import json
import shutil
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass

from test_skill_library import a_policy, a_skill

from experimenter.cli.app import main
from experimenter.policies.policy import save_policy
from experimenter.records import JudgeSpec
from experimenter_skills.library import FolderLibrary

NAME = "balance-pole"
LASTS = JudgeSpec(kind="length_at_least", threshold=50, declared_by="goal", words="lasts 50 steps")


def settled(tmp_path, now):
    """A workspace with one certified skill; its policy keeps the pole up for some eighty steps."""
    hash_ = save_policy(tmp_path / "trained", a_policy(3))
    skill = a_skill(
        hash_=hash_, fingerprint=now, environment_hash=now.hash, judge_spec=LASTS, judge=LASTS.words
    )
    FolderLibrary().keep(skill, tmp_path / "trained", tmp_path / "home")
    shutil.rmtree(tmp_path / "trained")
    return tmp_path / "home"


@dataclass
class Done:
    returncode: int
    stdout: str
    stderr: str


def command(*words, root):
    """The command line, in this process; the environments run in workers all the same."""
    out, err = io.StringIO(), io.StringIO()
    with redirect_stdout(out), redirect_stderr(err):
        code = main(["skills", *map(str, words), "--workspace", str(root)])
    return Done(code, out.getvalue(), err.getvalue())


def answer(*words, root):
    done = command(*words, "--json", root=root)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)
