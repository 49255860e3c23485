"""Writes ``SKILL.md``: YAML front matter as other tools read it, then the evidence, in a form that no text can escape.

Descriptions and reward programs may come from a language model, so nothing in them may end the front matter, a line
or a code block.
"""

from __future__ import annotations

import json
import re
import shlex
from typing import Final

from experimenter.records import Skill

__all__ = ["LONGEST_DESCRIPTION", "skill_card"]

LONGEST_DESCRIPTION: Final = 1024
_USE: Final = """\
from pathlib import Path

from experimenter.judge.evaluate import evaluate
from experimenter.policies.policy import load_policy
from experimenter.records import JudgeSpec, Skill

folder = Path("skills/{name}")
skill = Skill.model_validate_json((folder / "skill.json").read_text(encoding="utf-8"))
policy = load_policy(folder, skill.policy.hash)  # refuses a changed policy
evaluation = evaluate(policy, skill.environment, range(20), skill.judge_spec or JudgeSpec())
print(evaluation.mean)  # mean undiscounted native return over 20 seeds"""


def skill_card(skill: Skill) -> str:
    """The whole text of ``SKILL.md``. The description is cut at 1,024 characters, on one line."""
    description = (
        _line(skill.description)[:LONGEST_DESCRIPTION].strip() or f"A policy for {skill.environment.id}."
    )
    front = f'---\nname: "{skill.name}"\ndescription: {json.dumps(description, ensure_ascii=False)}\n---\n'
    parts = [
        front,
        f"# {skill.name}\n",
        _text(description) + "\n",
        _evidence(skill),
        _preconditions(skill),
        _reward(skill),
        _usage(skill),
    ]
    return "\n".join(part for part in parts if part)


def _evidence(skill: Skill) -> str:
    score = skill.score
    over = f"over {_count(score.seeds, 'training seed')}"
    rows = [
        ("Environment", f"{_code(skill.environment.id)} with {_code(_json(skill.environment.kwargs))}"),
        ("Environment hash", _code(skill.environment_hash)),
        ("True score", f"{score.iqm:g} (interquartile mean {over})"),
        ("95 % interval", f"{score.low:g} to {score.high:g}"),
        ("Random actions score", "unknown" if skill.random_score is None else f"{skill.random_score:g}"),
        ("Success rate", "no success measure" if skill.success_rate is None else f"{skill.success_rate:g}"),
        *_success(skill),
        *_episodes(skill),
        ("Judge", _text(_line(skill.judge))),
        ("Policy hash", _code(skill.policy.hash)),
        ("Learning steps behind it", f"{skill.policy.lineage_steps:,}"),
        ("Parents", ", ".join(map(_code, skill.parents)) or "none: trained from scratch"),
        ("From", f"run {_code(skill.run or 'unknown')}, trial {_code(skill.trial or 'unknown')}"),
        *_versions(skill),
    ]
    if skill.recertified:
        rows.insert(0, ("Re-certified", _text(_line(skill.recertified))))
    lines = [f"| {name} | {value} |" for name, value in rows]
    return "## Evidence\n\n| what | value |\n| --- | --- |\n" + "\n".join(lines) + "\n"


def _success(skill: Skill) -> list[tuple[str, str]]:
    found = skill.success
    if found is None:
        return []
    over = "episodes of this policy" if skill.recertified else _count(found.seeds, "training seed")
    return [("Success, 95 % interval", f"{found.low:g} to {found.high:g} over {over}")]


def _episodes(skill: Skill) -> list[tuple[str, str]]:
    """This one policy, where the rows above speak of the design."""
    found = skill.episodes
    if found is None:
        return []
    rate = "" if found.success_rate is None else f", success rate {found.success_rate:g}"
    how = "greedily" if found.action_mode == "greedy" else "by sampling"
    words = f"mean {found.mean:g}{rate} on {_count(len(found.seeds), 'held-out episode')}, acting {how}"
    return [("This policy", words)]


def _versions(skill: Skill) -> list[tuple[str, str]]:
    if not skill.versions:
        return []
    return [
        ("Versions", ", ".join(_code(f"{name} {found}") for name, found in sorted(skill.versions.items())))
    ]


def _preconditions(skill: Skill) -> str:
    wanted = [*skill.preconditions, *(f"achieved before: {name}" for name in skill.requires)]
    given = [f"afterwards achieved: {name}" for name in skill.gives]
    if not (wanted or given):
        return ""
    return (
        "## Preconditions\n\n" + "\n".join(f"- {_text(_line(words))}" for words in (*wanted, *given)) + "\n"
    )


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def _reward(skill: Skill) -> str:
    if skill.reward is None:
        return "## Reward\n\nIt was trained on the environment's own reward.\n"
    source = skill.reward.source.strip("\n")
    return f"## Reward program\n\n{_fenced(source, 'python')}\n\nThe policy does not need it any more.\n"


def _usage(skill: Skill) -> str:
    commands = (
        f"experimenter judge {skill.name} --env {shlex.quote(_line(skill.environment.id))}",
        f"experimenter skills judge {skill.name}   # first asks whether the environment is still the same",
        f"experimenter skills play {skill.name}",
        f"experimenter skills export {skill.name} {skill.name}.onnx",
    )
    shell, code = _fenced("\n".join(commands), "sh"), _fenced(_USE.format(name=skill.name), "python")
    return f"## Loading, judging and playing it\n\n{shell}\n\nOr in Python, from the workspace's folder:\n\n{code}\n"


def _fenced(source: str, language: str) -> str:
    longest = max((len(run) for run in re.findall(r"`+", source)), default=0)
    fence = "`" * max(3, longest + 1)
    return f"{fence}{language}\n{source}\n{fence}"


def _line(words: str) -> str:
    """On one line, without control characters."""
    return "".join(c for c in " ".join(words.split()) if c.isprintable())


def _text(words: str) -> str:
    """Words that stay words in Markdown: no HTML, no link, no table cell's end."""
    return re.sub(r"([\\`*_\[\]<>|#])", r"\\\1", words)


def _code(words: str) -> str:
    return f"`{_line(words).replace('`', chr(39)).replace('|', '/')}`"


def _json(value: object) -> str:
    return json.dumps(value, sort_keys=True, ensure_ascii=False)
