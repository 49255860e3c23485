"""How a checked reward program looks on a screen: the verdict, its gates, its components, the scores."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

from experimenter.cli.tables import plain_table
from experimenter.report.lines import number, percent
from experimenter.report.text import clip, safe_text

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.table import Table

    from experimenter.envs.records import EnvCard
    from experimenter.loop.benched import Bench, Trained

__all__ = ["features_view", "view"]

_MARKS: Final = {"passed": "✓", "refused": "✗", "not reached": "·"}
_STYLES: Final = {"passed": "green", "refused": "red", "not reached": "dim"}
_MOST: Final = 32


def view(found: Bench) -> Iterator[RenderableType]:
    """The verdict in a line, what to do about a refusal, then tables."""
    from rich.text import Text

    mark, style = ("✓", "bold green") if found.accepted else ("✗", "bold red")
    yield Text(f"{mark} {safe_text(found.sentence)}", style=style)
    if found.hint:
        yield Text(f"→ {safe_text(found.hint)}")
    yield _layers(found)
    if found.gates.components:
        yield Text("Components on random transitions, and as many with features drawn over their ranges:")
        yield _components(found)
    if found.trained is not None:
        yield from _training(found, found.trained)
    yield from (Text(safe_text(words), style="dim") for words in _facts(found))


def _layers(found: Bench) -> Table:
    from rich.text import Text

    table = plain_table("", "gate", "what it saw")
    for layer in found.gates.layers:
        style = _STYLES[layer.state]
        words = Text(safe_text(layer.words), style="dim" if layer.state == "not reached" else "")
        table.add_row(Text(_MARKS[layer.state], style=style), layer.name, words)
    return table


def _components(found: Bench) -> Table:
    right = ("share", "lowest", "mean", "highest")
    table = plain_table("component", *right, "", right=right)
    parts = sorted(found.gates.components, key=lambda part: (-part.share, part.name))
    for part in parts[:_MOST]:
        mark = "dead: always 0" if part.dead else "constant" if part.constant else ""
        figures = (number(part.minimum, 3), number(part.mean, 3), number(part.maximum, 3))
        table.add_row(clip(part.name, 32), percent(part.share), *figures, mark)
    return table


def _training(found: Bench, mine: Trained) -> Iterator[RenderableType]:
    from rich.text import Text

    from experimenter.cli.reward import components_table
    from experimenter.report.traces import paid
    from experimenter.report.wording import component_words

    parts = paid(mine.trainings)
    if parts:
        yield Text(
            "Components in training; the correlation is that of an episode's sum with its true return:"
        )
        yield components_table(parts)
        yield from (Text(safe_text(words)) for words in component_words(parts))
    if found.diagnosis is not None:
        yield Text(safe_text(f"Diagnosis: {found.diagnosis.words}"))
    yield _scores(found, mine)
    if found.against_native:
        yield Text(safe_text(found.against_native))


def _scores(found: Bench, mine: Trained) -> Table:
    right = ("true score", "success", "learning steps")
    table = plain_table("trained with", *right, "each seed", right=right)
    arms = [("the program", mine)] + ([("the native reward", found.native)] if found.native else [])
    for name, arm in arms:
        each = ", ".join(number(score) for score in arm.scores)
        failed = f" ({arm.failed} failed)" if arm.failed else ""
        steps = number(arm.env_steps)
        table.add_row(name, number(arm.score), percent(arm.success_rate), steps, f"{each}{failed}")
    table.add_row("nothing: random actions", number(found.random_return), "", "", "")
    return table


def _facts(found: Bench) -> Iterator[str]:
    gates = found.gates
    if gates.fields:
        yield f"reads: {', '.join(f't.{name}' for name in gates.fields)}"
    if gates.microseconds_per_transition is not None:
        yield f"takes: {number(gates.microseconds_per_transition, 3)} µs per transition"
    if gates.level:
        yield f"containment: {gates.level}"
    if found.judge:
        yield f"judge: {found.judge}"
    if found.env_steps or found.card_steps:
        counts = {
            "learning and checking": found.env_steps,
            "judging": found.eval_steps,
            "looking": found.card_steps,
        }
        yield "steps: " + ", ".join(f"{number(count)} {what}" for what, count in counts.items() if count)


def features_view(card: EnvCard) -> Iterator[RenderableType]:
    """What a program may read here."""
    from rich.text import Text

    from experimenter.sandbox.vocabulary import FIELDS

    yield Text(f"{safe_text(card.spec.id)}: what a reward program may read", style="bold")
    yield Text(", ".join(f"t.{name}" for name in sorted(FIELDS)))
    if not card.features:
        yield Text("This environment has no named features: use t.obs and t.next_obs.")
        return
    table = plain_table("t.now.… and t.next.…", "kind", "met at random", "what it is")
    for one in card.features:
        met = f"{number(one.measured_low)} to {number(one.measured_high)}"
        table.add_row(safe_text(one.name), one.kind, met, clip(one.description, 70))
    yield table
