"""``experimenter models``: who can be asked from here, what it costs, and how well a model plans."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from experimenter.cli.options import AsJson, resolve
from experimenter.cli.qualifying import check
from experimenter.errors import ConfigError, did_you_mean

if TYPE_CHECKING:
    from experimenter.config import Settings
    from experimenter.planners.llm.listing import Provider
    from experimenter.planners.llm.model import ModelName
    from experimenter.planners.llm.prices import PriceTable

__all__ = ["app"]

app = typer.Typer(
    no_args_is_help=True, help="Language models: who can be asked, prices, and how well one plans."
)

ProviderName = Annotated[
    str | None, typer.Argument(metavar="[PROVIDER]", help="Ask this provider's service which models it has.")
]
Models = Annotated[
    list[str], typer.Argument(metavar="MODEL...", help="provider:model, or an alias of the settings.")
]
Read = Annotated[int | None, typer.Option("--input", min=0, help="Tokens that are sent; cost is shown too.")]
Written = Annotated[int | None, typer.Option("--output", min=0, help="Tokens that come back.")]


@app.command("list")
def list_models(provider: ProviderName = None, as_json: AsJson = False) -> None:
    """List providers and the models in use, sending nothing; with PROVIDER, the models that its service has."""
    if provider is not None:
        _list_service(provider, as_json)
        return
    from experimenter.cli.console import print_json, say
    from experimenter.planners.llm.listing import providers

    settings, found = resolve(), providers()
    roles, why = _roles(settings)
    if as_json:
        print_json(
            {
                "providers": [_facts(one) for one in found],
                "model": settings.model,
                "models": settings.models,
                "aliases": settings.aliases,
                "roles": {role: [str(name) for name in names] for role, names in roles.items()},
                "why_no_roles": why,
            }
        )
        return
    _show_providers(found)
    _show_roles(settings, roles, why)
    say("Nothing was sent. What a service has: experimenter models list PROVIDER")


@app.command("price")
def price(models: Models, read: Read = None, written: Written = None, as_json: AsJson = False) -> None:
    """Show dollars per million tokens by the price table that is installed; nothing is sent."""
    from experimenter.cli.console import print_json, say
    from experimenter.planners.llm.names import parse_models
    from experimenter.planners.llm.prices import price_table

    names = parse_models(models, resolve().aliases)
    table = price_table()
    usage = None if read is None and written is None else (read or 0, written or 0)
    found = [_price(name, usage) for name in names]
    if as_json:
        dated = str(table.last_dated) if table.last_dated else None
        facts = {"package": table.package, "version": table.version, "last_dated_price": dated}
        print_json({"table": facts, "models": found})
        return
    _show_prices(found, usage)
    for words in _about_unknown(names, found, table):
        say(words)
    dated = f", whose last dated price is of {table.last_dated}" if table.last_dated else ""
    say(f"By {table.package} {table.version}{dated}. What a service charges may have changed since.")


app.command("check")(check)


def _list_service(provider: str, as_json: bool) -> None:
    from experimenter.cli.console import print_json, say
    from experimenter.planners.llm.listing import list_models
    from experimenter.report.text import safe_text

    found = list_models(provider)
    if as_json:
        facts = {"provider": found.provider, "base_url": found.base_url, "more": found.more}
        print_json(facts | {"models": list(found.models)})
        return
    for model in found.models:
        print(safe_text(f"{found.provider}:{model}"))
    count = f"{len(found.models)} model{'s' if len(found.models) != 1 else ''} at {found.base_url}"
    say(f"{count}{', and more that are not listed' if found.more else ''}.")


def _roles(settings: Settings) -> tuple[dict[str, tuple[ModelName, ...]], str]:
    """Who would play each role, or why nobody would."""
    from experimenter.planners.llm.opening import models_of

    try:
        return dict(models_of(settings).items()), ""
    except ConfigError as cause:
        return {}, str(cause)


def _facts(one: Provider) -> dict[str, Any]:
    return {
        "name": one.name,
        "about": one.about,
        "ready": one.ready,
        "base_url": one.base_url,
        "key": one.key,
        "missing": one.missing,
    }


def _show_providers(found: tuple[Provider, ...]) -> None:
    from experimenter.cli.console import screen
    from experimenter.cli.tables import plain_table
    from experimenter.report.text import safe_text

    table = plain_table("", "provider", "how it is asked")
    for one in found:
        mark, how = "✓" if one.ready else "·", " · ".join(filter(None, (one.base_url, one.key)))
        words = "\n".join(filter(None, (one.about, safe_text(how), safe_text(one.missing))))
        table.add_row(mark, one.name, words)
    screen().print(table)


def _show_roles(settings: Settings, roles: dict[str, tuple[ModelName, ...]], why: str) -> None:
    from experimenter.cli.console import screen
    from experimenter.cli.tables import plain_table
    from experimenter.report.text import safe_text

    out = screen()
    if why:
        out.print(safe_text(why))
    else:
        table = plain_table("role", "model, then its fallbacks")
        for role, names in roles.items():
            table.add_row(role, safe_text(", ".join(map(str, names))))
        out.print(table)
    for alias, meaning in settings.aliases.items():
        out.print(safe_text(f"alias {alias} = {meaning}"))


def _price(name: ModelName, usage: tuple[int, int] | None) -> dict[str, Any]:
    """Dollars for a million tokens each way, and of ``usage``; ``None`` is unknown."""
    from experimenter.planners.llm.model import Usage
    from experimenter.planners.llm.prices import dollars, price_of

    known = price_of(name)
    facts: dict[str, Any] = {
        "model": str(name),
        "input": known.input if known else None,
        "output": known.output if known else None,
    }
    if usage is not None:
        facts["cost"] = dollars(name, Usage(input_tokens=usage[0], output_tokens=usage[1]))
    return facts


def _show_prices(found: list[dict[str, Any]], usage: tuple[int, int] | None) -> None:
    from experimenter.cli.console import screen
    from experimenter.cli.tables import plain_table
    from experimenter.report.text import safe_text

    cost = () if usage is None else (f"for {usage[0]:,} in, {usage[1]:,} out",)
    right = ("$ a million in", "$ a million out", *cost)
    table = plain_table("model", *right, right=right)
    for one in found:
        each = [_exact(one["input"]), _exact(one["output"])] + ([_exact(one["cost"])] if cost else [])
        table.add_row(safe_text(one["model"]), *each)
    screen().print(table)


def _exact(dollars: float | None) -> str:
    """Dollars, parts of a cent included; an unknown sum is called so, never zero."""
    if dollars is None:
        return "unknown"
    return f"${dollars:,.2f}" if dollars >= 1 or dollars == 0 else f"${dollars:.4f}"


def _about_unknown(names: tuple[ModelName, ...], found: list[dict[str, Any]], table: PriceTable) -> list[str]:
    told = []
    for name, facts in zip(names, found, strict=True):
        if facts["input"] is None:
            served = any(known.startswith(f"{name.provider}:") for known in table.names)
            hint = did_you_mean(str(name), table.names) if served else "Only its owner knows it."
            told.append(f"{name}: the price is unknown. {hint}".strip())
    return told
