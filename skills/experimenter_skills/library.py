"""Keeps each skill as a folder: a readable ``SKILL.md``, the exact record, and the policy's two files.

A folder appears whole or not at all, and what is loaded from it is what was certified: the policy's hash is verified
when it is kept and every time it is loaded.
"""

from __future__ import annotations

import errno
import re
import secrets
import shutil
from dataclasses import asdict
from pathlib import Path
from typing import Any, ClassVar, Final

from pydantic import ValidationError

from experimenter.errors import NotFound, UsageError, WorkspaceError, did_you_mean
from experimenter.identity import canonical_json, valid_name
from experimenter.policies.policy import load_policy
from experimenter.records import Skill
from experimenter.workspace.files import make_folder, storage_error, sync_folder, write_atomic
from experimenter_skills.archive import opened, pack
from experimenter_skills.card import skill_card

__all__ = ["NAME", "FolderLibrary"]

NAME: Final = re.compile(r"[a-z][a-z0-9-]{0,63}")
RECORD, CARD = "skill.json", "SKILL.md"
POLICY: Final = ("policy.safetensors", "policy.json")
MOST_RECORD, MOST_POLICY, MOST_WEIGHTS = 8_000_000, 32_000_000, 512_000_000
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
            raise self._unknown(name, root)
        skill = _read(folder)
        load_policy(folder, skill.policy.hash)
        return skill, folder

    def replace(self, skill: Skill, root: Path) -> Path:
        """Writes a newer certificate for a kept policy; the policy itself must be the same.

        Raises what ``load`` raises, and UsageError when the certificate is for another policy.
        """
        there, folder = self.load(skill.name, root)
        if there.policy != skill.policy:
            raise UsageError(
                f"The new certificate of {skill.name} is for another policy.",
                "Keep that policy as a new skill.",
            )
        write_atomic(folder / RECORD, canonical_json(skill) + "\n")
        write_atomic(folder / CARD, skill_card(skill))
        return folder

    def remove(self, name: str, root: Path) -> None:
        """Removes the folder, damaged or not. Raises UsageError for an invalid name, NotFound, WorkspaceError."""
        folder = _folder(name, root)
        if folder.is_symlink() or not folder.is_dir():
            raise self._unknown(name, root)
        aside = folder.with_name(f".{name}.{secrets.token_hex(4)}.removed")
        try:
            folder.rename(aside)
        except OSError as error:
            raise storage_error(folder, error) from error
        shutil.rmtree(aside, ignore_errors=True)

    def pack(self, name: str, root: Path, destination: Path) -> Path:
        """A copy of the folder at ``destination``, or one file where that ends in ``.zip``; see ``archive``."""
        _, folder = self.load(name, root)
        return pack(folder, [CARD, RECORD, *POLICY], name, destination)

    def unpack(self, source: Path, root: Path, name: str | None = None) -> Skill:
        """Keeps the skill in the folder or ``.zip`` file ``source``, under ``name`` if one is given.

        Its ``SKILL.md`` is written anew from the record. Raises NotFound, UsageError when it is no skill, is hostile
        or its name is taken, WorkspaceError when the policy is not what the record promises.
        """
        with opened(source, {RECORD: MOST_RECORD, POLICY[0]: MOST_WEIGHTS, POLICY[1]: MOST_POLICY}) as folder:
            skill = _record(folder / RECORD, source)
            skill = skill.model_copy(update={"name": name or skill.name})
            self.keep(skill, folder, root)
        return self.load(skill.name, root)[0]

    def convert(self, name: str, root: Path, form: str, destination: Path, seen: Any) -> dict[str, Any]:
        """Writes the policy as ``onnx`` or ``torchscript``; see ``exporting``. Raises UsageError for another form."""
        from experimenter_skills import exporting

        forms: dict[str, exporting.Form] = {"onnx": "onnx", "torchscript": "torchscript"}
        if form not in forms:
            raise UsageError(f"There is no form named {form[:40]!r}.", did_you_mean(form, forms))
        skill, folder = self.load(name, root)
        policy = load_policy(folder, skill.policy.hash)
        found = exporting.convert(policy, skill, forms[form], destination, seen)
        return {"reads": "observation" if exporting.raw(policy) else "encoded", **asdict(found)}

    def names(self, root: Path) -> tuple[str, ...]:
        """The names of all skills, sorted; folders that are no skills are passed over."""
        home = root / "skills"
        if not home.is_dir():
            return ()
        found = (p for p in home.iterdir() if valid_name(p.name, NAME) and not p.is_symlink())
        return tuple(sorted(p.name for p in found if (p / RECORD).is_file()))

    def _unknown(self, name: str, root: Path) -> NotFound:
        known = self.names(root)
        hint = did_you_mean(name, known) or f"Known: {', '.join(known) or 'none yet'}."
        return NotFound(f"There is no skill named {name}.", hint)

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


def _record(path: Path, source: Path) -> Skill:
    """A stranger's record: it has the form of one, and nothing more is known."""
    try:
        return Skill.model_validate_json(path.read_bytes())
    except (OSError, ValidationError) as error:
        raise UsageError(
            f"{source} is no skill: its {RECORD} cannot be read as a skill's record.",
            "Import what `experimenter skills export` wrote.",
        ) from error


def _damaged(folder: Path, why: str) -> WorkspaceError:
    return WorkspaceError(
        f"{folder / RECORD} is damaged: {why}.", "Restore the folder from a backup, or remove it."
    )
