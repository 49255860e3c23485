"""Skills from Python: certified policies to look at, judge, film, carry about, and act with."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from experimenter.api.policy import LabPolicy
from experimenter.records import Record, Skill

if TYPE_CHECKING:
    from experimenter.envs.fingerprint import Change
    from experimenter.execution.playing import Played
    from experimenter.loop.skills import Judged

__all__ = ["Exported", "LabSkills"]


class Exported(Record):
    """What was written. For ONNX and TorchScript, ``difference`` is the largest between its numbers and the policy's
    on ``observations`` observations, and ``reads`` says whether it takes them raw or ``encoded``."""

    path: str
    format: str
    difference: float | None = None
    observations: int = 0
    reads: str = ""


class LabSkills:
    """The skills of one workspace. Every method that takes a name raises NotFound (with did-you-mean) where there is
    no such skill, and WorkspaceError where it is damaged."""

    def __init__(self, workspace: Path) -> None:
        self._root = workspace

    def list(self) -> tuple[Skill, ...]:
        """Every skill that can be loaded, the most reliable first; ``damaged`` has the others."""
        from experimenter.loop import skills

        return skills.shelf(self._root).skills

    def damaged(self) -> dict[str, str]:
        """What is wrong with the skills that cannot be loaded, by name."""
        from experimenter.loop import skills

        return {name: str(error) for name, error in skills.shelf(self._root).damaged.items()}

    def get(self, name: str) -> Skill:
        """The certificate, after the policy's hash was verified."""
        from experimenter.loop import skills

        return skills.load(name, self._root)[0]

    def policy(self, name: str) -> LabPolicy:
        """The policy, to act with in your own loop; see ``changes`` for whether its environment is still the same."""
        from experimenter.loop import skills
        from experimenter.policies.acting import Actor
        from experimenter.policies.policy import load_policy

        skill, folder = skills.load(name, self._root)
        return LabPolicy(Actor(load_policy(folder, skill.policy.hash)), skill.environment, skill)

    def changes(self, name: str) -> tuple[Change, ...]:
        """What changed about its environment since it was certified, asked in a worker; takes about a second.

        Raises EnvironmentFault, and NotFound also where the environment is no longer installed.
        """
        from experimenter.loop import skills

        return skills.examine(skills.load(name, self._root)[0])

    def judge(self, name: str, *, episodes: int = 20, seed: int = 0, recertify: bool = False) -> Judged:
        """The frozen judge's figures, after its environment was asked whether it is still the same.

        ``recertify`` judges on episodes that it never met and writes a new certificate. Raises EnvironmentFault when
        the environment changed; with ``recertify`` only where the policy cannot act in it at all.
        """
        from experimenter.loop import skills

        return (skills.recertify if recertify else skills.judge_skill)(self._root, name, episodes, seed)

    def play(self, name: str, *, seed: int = 0) -> Played:
        """The judge's first episode for ``seed``, played in a worker and told step by step in words."""
        from experimenter.identity import seeds
        from experimenter.loop import skills

        return skills.play(self._root, name, seeds(seed, "confirm_eval", 1)[0], None)

    def film(self, name: str, path: str | Path, *, episodes: int = 1, seed: int = 0) -> tuple[Played, ...]:
        """Films the judge's first episodes for ``seed`` into one ``.gif`` or ``.mp4`` file.

        Raises UsageError for another ending, EnvironmentFault where the environment draws no pictures, NotFound
        without the extra ``video`` that an MP4 needs.
        """
        from experimenter.loop.showing import film_skill

        return film_skill(self._root, name, Path(path), episodes, seed)

    def export(self, name: str, destination: str | Path, *, format: str | None = None) -> Exported:
        """Writes ``folder``, ``zip``, ``onnx`` or ``torchscript``; without ``format`` the destination's ending says.

        Nothing is overwritten. Raises UsageError for another format or where something is there already, NotFound
        without the extras ``onnx`` or ``torch``.
        """
        from experimenter.loop import skills

        place = Path(destination).expanduser()
        form = skills.form_of(place, format)
        if form in ("folder", "zip"):
            return Exported(path=str(skills.pack(self._root, name, place)), format=form)
        found = skills.convert(self._root, name, form, place)
        told = {key: found[key] for key in ("difference", "observations", "reads")}
        return Exported(path=str(place), format=form, **told)

    def load(self, source: str | Path, *, name: str | None = None) -> Skill:
        """Takes in a skill's folder or ``.zip`` file, under ``name`` if one is given; the policy is verified.

        Its figures are its author's claim until ``judge`` has looked. Raises UsageError for what is no skill, or a
        name that is taken.
        """
        from experimenter.loop import skills

        return skills.unpack(self._root, Path(source).expanduser(), name)

    def remove(self, name: str) -> None:
        """Removes the folder and what memory knows of it. This cannot be undone."""
        from experimenter.loop import skills

        skills.remove(self._root, name)
