"""Reads Gymnasium-style class docstrings: tables of observations and actions, arguments, and a summary.

The tables are a convention, not a format, so whatever does not fit is ignored and the card measures instead.
"""

from __future__ import annotations

import inspect
import keyword
import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

__all__ = [
    "Row",
    "action_meanings",
    "argument_words",
    "docstring",
    "identifiers",
    "observation_rows",
    "summary",
]

_JOINTS: Final = r"\b(?:of|along|in|on|at|from|for|with|relative|to|between|about|around|against|and)\b"
_STOP: Final = frozenset(
    ("the", "a", "an", "of", "along", "in", "on", "at", "axis", "x-axis", "y-axis", "z-axis", "from", "for")
) | {"with", "its", "to", "is", "s"}
_SQUARES: Final = {"cosine": "cos", "cos": "cos", "sine": "sin", "sin": "sin"}
_NUMBER: Final = r"[-+−]?\d+(?:\.\d+)?(?:[eE][-+]?\d+)?"


@dataclass(frozen=True, slots=True)
class Row:
    """One row of an observation table: what it says, its bounds where they are finite, its unit."""

    words: str
    low: float | None = None
    high: float | None = None
    unit: str = ""


def docstring(env_class: type) -> str:
    """The class's own docstring or its nearest base's, below Gymnasium's own base class; empty when there is none."""
    for base in env_class.__mro__:
        if base.__module__.startswith("gymnasium.core") or base is object:
            break
        if vars(base).get("__doc__"):
            return inspect.cleandoc(str(base.__doc__))
    return ""


def summary(text: str, limit: int = 600) -> str:
    """The first paragraph of prose, under ``Description`` where there is such a heading, on one line."""
    body = re.split(r"^[ \t]*#+\s*Description.*$", text, maxsplit=1, flags=re.MULTILINE)[-1]
    for paragraph in re.split(r"\n\s*\n", body):
        if paragraph.strip() and not paragraph.lstrip().startswith(("#", "|", "```", "!", "<")):
            line = " ".join(_plain(paragraph).split())
            return line if len(line) <= limit else line[: limit - 1].rsplit(" ", 1)[0] + "…"
    return ""


def argument_words(env_class: type) -> dict[str, str]:
    """What list items such as ``* `gravity` dictates …`` say of each argument, in one line."""
    items = re.findall(
        r"^\s*[*-]\s*`(\w+)(?:=[^`]*)?`\s*:?\s*(.+(?:\n(?!\s*[*-]\s|\s*\n|#).+)*)", docstring(env_class), re.M
    )
    return {name: " ".join(_plain(words).split())[:200] for name, words in items}


def observation_rows(text: str, size: int) -> tuple[Row, ...]:
    """The rows of the first table of observations that has exactly ``size`` of them, in order; else nothing."""
    for header, rows in _tables(text):
        columns = [cell.lower() for cell in header]
        at = next((i for i, cell in enumerate(columns) if cell.startswith("observation")), None)
        if at is None or len(rows) != size:
            continue
        numbered = columns[0] in ("num", "index", "#", "id")
        if numbered and [row[0] for row in rows] != [str(i) for i in range(size)]:
            continue
        return tuple(_row(columns, row, at) for row in rows)
    return ()


def action_meanings(text: str, size: int) -> tuple[str, ...]:
    """What each of ``size`` actions (or action numbers) does, from a table or a list under ``Action Space``."""
    section = _section(text, "Action Space")
    for header, rows in _tables(section):
        columns = [cell.lower() for cell in header]
        at = next((i for i, cell in enumerate(columns) if cell.startswith("action")), None)
        if at is not None and len(rows) == size:
            return tuple(_plain(row[at]).strip() for row in rows)
    listed = re.findall(r"^\s*[-*]\s*(\d+)\s*[:=]\s*(.+)$", section, re.M)
    if [int(number) for number, _ in listed] == list(range(size)):
        return tuple(_plain(words).strip() for _, words in listed)
    return ()


def _section(text: str, title: str) -> str:
    parts = re.split(r"^[ \t]*(#+\s.*)$", text, flags=re.MULTILINE)
    for heading, body in zip(parts[1::2], parts[2::2], strict=False):
        if title.lower() in heading.lower():
            return body
    return ""


def _tables(text: str) -> Iterator[tuple[list[str], list[list[str]]]]:
    """Markdown tables as (header cells, rows of cells), each row as wide as its header."""
    block: list[list[str]] = []
    for line in [*text.splitlines(), ""]:
        stripped = line.strip()
        if stripped.startswith("|"):
            block.append([cell.strip() for cell in stripped.strip("|").split("|")])
            continue
        if len(block) > 2 and re.fullmatch(r"[\s:|-]*", "".join(block[1])):
            width = len(block[0])
            yield block[0], [row for row in block[2:] if len(row) == width]
        block = []


def _row(columns: Sequence[str], row: Sequence[str], at: int) -> Row:
    def cell(word: str) -> str:
        return next((row[i] for i, name in enumerate(columns) if name.startswith(word)), "")

    unit = next((row[i] for i, name in enumerate(columns) if "unit" in name), "")
    inside = re.search(r"\(([^()]+)\)\s*$", unit)
    unit = inside[1] if inside else unit
    if not unit and "rad" in cell("min"):
        unit = "rad"
    return Row(_plain(row[at]).strip(), _bound(cell("min")), _bound(cell("max")), _plain(unit).strip())


def _bound(cell: str) -> float | None:
    """The first number of a cell, or ``None`` when there is none or it says infinity."""
    if re.search(r"inf|∞", cell, re.I):
        return None
    found = re.search(_NUMBER, cell)
    value = float(found[0].replace("−", "-")) if found else math.inf
    return value if math.isfinite(value) else None


def _plain(text: str) -> str:
    text = re.sub(r"<[^>]+>", "", text)
    text = re.sub(r"\[([^\]]+)\]\([^)]*\)", r"\1", text)
    return re.sub(r"[`*$]|\\", "", text)


def identifiers(phrases: Sequence[str]) -> tuple[str, ...]:
    """One valid, distinct identifier of at most 40 characters per phrase, as short as distinctness allows.

    ``position of the car along the x-axis`` becomes ``position``; where two phrases begin alike, more of each is
    taken (``angular_velocity_theta1``); whatever still clashes is numbered.
    """
    parts = [_parts(phrase) for phrase in phrases]
    names = ["_".join(part[:1]) for part in parts]
    for depth in range(2, 6):
        clash = {name for name in names if names.count(name) > 1}
        if not clash:
            break
        names = ["_".join(p[:depth]) if n in clash else n for n, p in zip(names, parts, strict=True)]
    return _distinct([_valid(name) for name in names])


def _parts(phrase: str) -> list[str]:
    """A phrase cut at its prepositions, each piece a slug; cosines and sines keep their argument."""
    text = _plain(phrase).lower().strip()
    wave = re.search(r"\b(cosine|cos|sine|sin)\b\s*(?:of\b\s*(?:the\s+)?|\()\s*([\w\s-]+)", text)
    if wave:
        return [f"{_SQUARES[wave[1]]}_{_slug(wave[2])}"]
    text = re.sub(r"\([^)]*\)", " ", text).split("=")[0]
    pieces = [_slug(piece) for piece in re.split(_JOINTS, text)]
    return [piece for piece in pieces if piece] or ["obs"]


def _slug(text: str) -> str:
    words = [w for w in re.split(r"[^\w-]+", text) if w and w not in _STOP]
    return re.sub(r"[^a-z0-9]+", "_", "_".join(words)).strip("_")


def _valid(name: str) -> str:
    name = name[:36].strip("_")
    if not re.fullmatch(r"[a-z][a-z0-9_]*", name):
        name = f"obs_{name}".strip("_")
    return f"{name}_" if keyword.iskeyword(name) else name


def _distinct(names: Sequence[str]) -> tuple[str, ...]:
    taken: dict[str, None] = {}
    for name in names:
        fresh, number = name, 2
        while fresh in taken:
            fresh, number = f"{name}_{number}", number + 1
        taken[fresh] = None
    return tuple(taken)
