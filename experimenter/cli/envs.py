"""``experimenter envs``: which environments there are, and what is known about one before any training."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from experimenter.cli.options import AsJson, Seed, SetValues, parse_set, resolve
from experimenter.report.text import clip, safe_text

if TYPE_CHECKING:
    from rich.table import Table

    from experimenter.envs.records import EnvCard

__all__ = ["app"]

app = typer.Typer(no_args_is_help=True, help="List environments, and show what is known about one.")

_HIDDEN = ("phys2d/", "tabular/", "GymV21Environment", "GymV26Environment")


@app.command("list")
def list_environments(
    words: Annotated[
        list[str] | None, typer.Argument(metavar="[WORDS]", help="Only ids with all these words.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """List the Gymnasium ids that this installation knows."""
    from experimenter.cli.console import print_json, say

    wanted = [word.lower() for word in words or ()]
    ids = [env_id for env_id in _known_ids() if all(word in env_id.lower() for word in wanted)]
    if as_json:
        print_json(ids)
        return
    for env_id in ids:
        print(safe_text(env_id))
    if not ids:
        say("No id has all these words. Without words, every id is listed. Others load as module:Id.")


def _known_ids() -> list[str]:
    """Ids of the registry, after the packages that fill it on import where they are installed."""
    import importlib.util

    import gymnasium

    if importlib.util.find_spec("minigrid") is not None:
        importlib.import_module("minigrid")
    return sorted(env_id for env_id in gymnasium.registry if not env_id.startswith(_HIDDEN))


@app.command("card")
def card(
    env_id: Annotated[str, typer.Argument(metavar="ID", help="A Gymnasium id, or module:Id.")],
    set_: SetValues = None,
    judge: Annotated[
        str | None, typer.Option(help="What success is: return>=N, length>=N, info:KEY, return.")
    ] = None,
    seed: Seed = 0,
    as_json: AsJson = False,
) -> None:
    """Show an environment's card: spaces, named features, rewards met at random, parameters, judge."""
    from experimenter.cli.console import print_json, screen
    from experimenter.loop.preparation import look_at

    kwargs, chosen = parse_set(set_), resolve()
    steps, silence = chosen.card_steps, chosen.silence_seconds
    found = look_at(env_id, kwargs, judge=judge, steps=steps, seed=seed, silence=silence)
    if as_json:
        print_json(found.model_dump(mode="json"))
        return
    out = screen()
    out.print(safe_text(f"{found.spec.id} · {found.title}".rstrip(" ·")), style="bold")
    if found.summary:
        out.print(clip(found.summary, 600))
    for part in (_facts(found), _features(found), _parameters(found)):
        if part is not None:
            out.print(part)


def _facts(card: EnvCard) -> Table:
    from rich.table import Table

    from experimenter.report.facts import card_facts

    grid = Table.grid(padding=(0, 2))
    grid.add_column(style="dim", no_wrap=True)
    grid.add_column(overflow="fold")
    for name, words in card_facts(card):
        grid.add_row(name, safe_text(words))
    return grid


def _features(card: EnvCard) -> Table:
    from experimenter.cli.tables import plain_table
    from experimenter.report.lines import number

    table = plain_table("feature", "kind", "unit", "range", "measured", "what it is")
    for one in card.features:
        limits = f"{number(one.low)} to {number(one.high)}"
        measured = f"{number(one.measured_low)} to {number(one.measured_high)}"
        words = clip(one.description, 70)
        table.add_row(safe_text(one.name), one.kind, safe_text(one.unit), limits, measured, words)
    return table


def _parameters(card: EnvCard) -> Table | None:
    from experimenter.cli.tables import plain_table

    if not card.parameters:
        return None
    table = plain_table("--set", "type", "default", "may be")
    for one in card.parameters:
        table.add_row(safe_text(one.name), one.type, clip(one.default, 30), clip(_range(one), 60))
    return table


def _range(parameter: Any) -> str:
    if parameter.choices:
        return ", ".join(str(choice) for choice in parameter.choices)
    if parameter.low is None and parameter.high is None:
        return ""
    return f"{parameter.low} to {parameter.high}"
