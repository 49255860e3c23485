"""Keeps each skill as a folder: a readable ``SKILL.md``, the exact record, and the policy's two files.

A folder appears whole or not at all, and what is loaded from it is what was certified: the policy's hash is verified
when it is kept and every time it is loaded.
"""

from __future__ import annotations

import errno
import re
import secrets
import shutil
from pathlib import Path
from typing import ClassVar, Final

from pydantic import ValidationError

from experimenter.errors import NotFound, UsageError, WorkspaceError, did_you_mean
from experimenter.identity import canonical_json, valid_name
from experimenter.policies.policy import load_policy
from experimenter.records import Skill
from experimenter.workspace.files import make_folder, storage_error, sync_folder, write_atomic
from experimenter_skills.card import skill_card

__all__ = ["NAME", "FolderLibrary"]

NAME: Final = re.compile(r"[a-z][a-z0-9-]{0,63}")
RECORD, CARD = "skill.json", "SKILL.md"
POLICY: Final = ("policy.safetensors", "policy.json")
_TAKEN: Final = frozenset({errno.ENOTEMPTY, errno.EEXIST})


class FolderLibrary:
    """``contracts.SkillLibrary`` by folders ``<root>/skills/<name>/``; ``root`` is the workspace."""

    contract: ClassVar[int] = 1
    name: ClassVar[str] = "folders"

    def keep(self, skill: Skill, policy_folder: Path, root: Path) -> Path:
        """Copies the certified policy from ``policy_folder`` into a folder of the skill's own, which is returned.

        The stored record's ``policy.path`` is the new folder, relative to ``root``. Keeping the same skill twice
        changes nothing. Raises UsageError for an invalid or taken name, WorkspaceError when the policy does not have
        the promised hash or the folder cannot be written.
        """
        folder = _folder(skill.name, root)
        load_policy(policy_folder, skill.policy.hash)
        place = skill.policy.model_copy(update={"path": f"skills/{skill.name}"})
        stored = skill.model_copy(update={"policy": place})
        if self._kept(stored, folder, root):
            return folder
        aside = make_folder(folder.parent) / f".{skill.name}.{secrets.token_hex(4)}.aside"
        try:
            _write(stored, policy_folder, aside)
            self._put(stored, aside, folder, root)
        finally:
            shutil.rmtree(aside, ignore_errors=True)
        return folder

    def load(self, name: str, root: Path) -> tuple[Skill, Path]:
        """The record and its folder, with the policy verified.

        Raises UsageError for an invalid name, NotFound (with did-you-mean), WorkspaceError when something is damaged.
        """
        folder = _folder(name, root)
        if not (folder / RECORD).is_file() or folder.is_symlink():
            known = self.names(root)
            hint = did_you_mean(name, known) or f"Known: {', '.join(known) or 'none yet'}."
            raise NotFound(f"There is no skill named {name}.", hint)
        skill = _read(folder)
        load_policy(folder, skill.policy.hash)
        return skill, folder

    def names(self, root: Path) -> tuple[str, ...]:
        """The names of all skills, sorted; folders that are no skills are passed over."""
        home = root / "skills"
        if not home.is_dir():
            return ()
        found = (p for p in home.iterdir() if valid_name(p.name, NAME) and not p.is_symlink())
        return tuple(sorted(p.name for p in found if (p / RECORD).is_file()))

    def _kept(self, skill: Skill, folder: Path, root: Path) -> bool:
        """Whether exactly this skill is there already. A damaged folder is set aside, so that it can be replaced."""
        if folder.is_symlink() or not folder.exists():
            return False
        try:
            there, _ = self.load(skill.name, root)
        except (NotFound, WorkspaceError):
            _set_aside(folder)
            return False
        if canonical_json(there) != canonical_json(skill):
            raise _taken(skill.name)
        return True

    def _put(self, skill: Skill, aside: Path, folder: Path, root: Path) -> None:
        try:
            aside.rename(folder)
        except OSError as error:
            if error.errno not in _TAKEN:
                raise storage_error(folder, error) from error
            if not self._kept(skill, folder, root):
                raise _taken(skill.name) from error
        sync_folder(folder.parent)


def _folder(name: str, root: Path) -> Path:
    if not valid_name(name, NAME):
        raise UsageError(
            f"{name[:80]!r} is no name for a skill.",
            "Use a small letter first, then at most 63 small letters, digits and hyphens.",
        )
    return root / "skills" / name


def _set_aside(folder: Path) -> None:
    try:
        folder.rename(folder.with_name(f".{folder.name}.{secrets.token_hex(4)}.damaged"))
    except OSError as error:
        raise storage_error(folder, error) from error


def _taken(name: str) -> UsageError:
    return UsageError(
        f"Another skill is named {name}.", "Choose another name, or remove the folder of the old one."
    )


def _write(skill: Skill, policy_folder: Path, aside: Path) -> None:
    try:
        for name in POLICY:
            write_atomic(aside / name, (policy_folder / name).read_bytes())
    except OSError as error:
        raise storage_error(policy_folder, error) from error
    write_atomic(aside / RECORD, canonical_json(skill) + "\n")
    write_atomic(aside / CARD, skill_card(skill))
    load_policy(aside, skill.policy.hash)


def _read(folder: Path) -> Skill:
    try:
        skill = Skill.model_validate_json((folder / RECORD).read_bytes())
    except (OSError, ValidationError) as error:
        raise _damaged(folder, "it cannot be read as a skill's record") from error
    if skill.name != folder.name:
        raise _damaged(folder, f"it is the record of another skill, {skill.name[:80]!r}")
    return skill


def _damaged(folder: Path, why: str) -> WorkspaceError:
    return WorkspaceError(
        f"{folder / RECORD} is damaged: {why}.", "Restore the folder from a backup, or remove it."
    )
