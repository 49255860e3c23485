"""How anyone can repeat the run, and check that it is the same: command, seeds, versions, containment, hashes."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from typing import Final

from experimenter.records import Json
from experimenter.report.design import winning_design
from experimenter.report.gather import ArmStory, ReportData
from experimenter.report.history import program_of
from experimenter.report.html import Html, el, facts, join, table
from experimenter.report.lines import number
from experimenter.report.more import More

__all__ = ["command_words", "hash_facts", "reproduce_section", "run_facts", "seed_facts"]

_MOST: Final = 20


def reproduce_section(data: ReportData, more: More) -> Html:
    """Command and facts in the open; seeds, hashes and settings folded."""
    command = el("pre", el("code", command_words(data)), cls="code wrap", tabindex="0")
    rows: list[tuple[str, object]] = list(run_facts(data))
    layout = ", ".join(
        f"{key.replace('_', ' ')} {_plain(value)}"
        for key, value in data.plan.items()
        if not isinstance(value, (dict, list))
    )
    plan = el("p", f"Layout of the budget: {layout}.", cls="note") if layout else Html("")
    promise = (
        "The same command with the same versions gives the same figures and the same policy hashes, as long as no "
        "limit in seconds is set."
    )
    parts = [command, el("p", promise, cls="note"), facts(rows), plan, _seeds(data, more), _hashes(data)]
    return el("section", el("h2", "How to reproduce"), join([*parts, _settings(data)]))


def command_words(data: ReportData) -> str:
    """The command as it would be typed: the program by its name, wherever it lay."""
    words = data.record.command
    return shlex.join(["experimenter", *words[1:]]) if words else "# started from Python"


def run_facts(data: ReportData) -> list[tuple[str, str]]:
    """Seed, planner, curriculum, containment, start, and the versions of everything that matters."""
    record = data.record
    versions = ", ".join(f"{name} {release}" for name, release in sorted(record.versions.items()))
    return [
        ("seed", str(record.goal.seed)),
        ("planner", record.planner),
        ("curriculum", record.curriculum),
        ("containment", (data.result.containment if data.result else "") or "not noted yet"),
        *([("vector environments", data.vector.words)] if data.vector else []),
        ("started", record.created),
        ("versions", versions or "not noted"),
    ]


def seed_facts(data: ReportData, more: More) -> list[tuple[str, str]]:
    """Training seeds of each arm, and the held-out episodes that all arms are judged on."""
    rows = [(f"training seeds, {one.arm.name}", _numbers(_training_seeds(one))) for one in data.arms]
    return [*rows, ("held-out episodes", _numbers(more.held_out))] if data.arms else []


def _training_seeds(story: ArmStory) -> list[int]:
    return [training.seed for training in story.trainings]


def _numbers(values: Sequence[int]) -> str:
    shown = ", ".join(str(value) for value in values[:_MOST])
    left = len(values) - _MOST
    return f"{shown} and {left:,} more" if left > 0 else shown


def hash_facts(data: ReportData) -> list[tuple[str, str]]:
    """Hashes of environment, design, program, and of each confirmed policy."""
    rows = [("environment", data.record.goal.environment.hash)]
    design = winning_design(data)
    if design is not None:
        rows.append(("design", design.hash))
        program = program_of(design)
        rows += [("reward program", program.hash)] if program is not None else []
    for story in data.arms:
        kept = [one for one in story.trainings if one.policy is not None][:_MOST]
        rows += [
            (f"policy, {story.arm.name}, seed {one.seed}", one.policy.hash) for one in kept if one.policy
        ]
    return rows


def _seeds(data: ReportData, more: More) -> Html:
    rows = seed_facts(data, more)
    return el("details", el("summary", "Seeds"), facts(rows)) if rows else Html("")


def _hashes(data: ReportData) -> Html:
    rows = [(name, el("code", value)) for name, value in hash_facts(data)]
    words = "Hashes (blake2b-128) of environment, design, program and policies"
    return el("details", el("summary", words), facts(rows))


def _settings(data: ReportData) -> Html:
    settings = [
        (name, _setting(value)) for name, value in sorted(data.record.settings.items()) if name != "v"
    ]
    return el("details", el("summary", "Every setting"), table(("setting", "value"), settings))


def _setting(value: Json) -> str:
    return "none" if value is None else str(value)


def _plain(value: Json) -> str:
    plain = isinstance(value, (int, float)) and not isinstance(value, bool)
    return number(float(value)) if plain else str(value)
