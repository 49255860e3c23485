"""Prompt templates: Markdown files with ``{{places}}``, filled once: what is filled in is never filled again."""

from __future__ import annotations

import functools
import re
from collections.abc import Mapping
from importlib import resources
from typing import Final

__all__ = ["fill", "part", "template"]

_PLACE: Final = re.compile(r"\{\{([a-z_]{1,40})\}\}(\n\n| )?")


@functools.cache
def template(name: str) -> str:
    """The text of ``prompts/<name>.md``."""
    folder = resources.files("experimenter.planners.llm") / "prompts"
    return folder.joinpath(*f"{name}.md".split("/")).read_text(encoding="utf-8").strip()


def fill(name: str, values: Mapping[str, str]) -> str:
    """The template with its places filled; an empty one leaves no gap. KeyError for a place without a value."""

    def filled(place: re.Match[str]) -> str:
        value = values[place[1]]
        return value + (place[2] or "") if value else ""

    return _PLACE.sub(filled, template(name)).strip()


def part(name: str, block: str, **values: str) -> str:
    """A section around its quoted ``block``, or nothing where that is empty."""
    return fill(f"parts/{name}", {"quoted": block, **values}) if block else ""
