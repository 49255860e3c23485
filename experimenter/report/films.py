"""The films that were made of a run, read from its folder and shown side by side; nothing is filmed here.

A GIF moves by itself, so whoever wants no movement, and paper, gets its first frame instead.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

from pydantic import ValidationError

from experimenter.records.films import FilmNote
from experimenter.report.html import Html, data_uri, el
from experimenter.report.lines import number

__all__ = ["Filmed", "caption", "films_section", "read_films"]

_ARMS: Final = ("winner", "native", "random")
_LARGEST: Final = 2_000_000
_KINDS: Final = {"gif": (b"GIF87a", b"GIF89a"), "png": (b"\x89PNG\r\n\x1a\n",)}
_WORDS: Final = {"winner": "Winner", "native": "Native control", "random": "Random control"}
_CHOICE: Final = (
    "The episode is the first of the held-out list, the same for both, and the policy that of the arm's first "
    "training seed. Nothing was chosen for how it looks, and one episode proves nothing: the scores above do."
)


@dataclass(frozen=True, slots=True)
class Filmed:
    """A film's note with its pictures; ``gif`` is empty where nothing could be filmed."""

    note: FilmNote
    gif: bytes
    still: bytes


def read_films(folder: Path) -> tuple[Filmed, ...]:
    """The films in ``runs/<run>/media``; what is missing, too large or no picture is left out."""
    found = []
    for arm in _ARMS:
        try:
            note = FilmNote.model_validate_json((folder / f"{arm}.json").read_bytes())
        except (OSError, ValidationError):
            continue
        if note.arm == arm:
            found.append(Filmed(note, _picture(folder, arm, "gif"), _picture(folder, arm, "png")))
    return tuple(film for film in found if film.gif or film.note.error)


def _picture(folder: Path, arm: str, kind: str) -> bytes:
    """The file's bytes when they begin as such a picture does, else none."""
    try:
        path = folder / f"{arm}.{kind}"
        data = path.read_bytes() if path.stat().st_size <= _LARGEST else b""
    except OSError:
        return b""
    return data if data.startswith(_KINDS[kind]) else b""


def films_section(films: tuple[Filmed, ...]) -> Html:
    """Side by side on a wide screen, one below the other on a narrow one."""
    if not films:
        return Html("")
    parts = [el("h2", "How they act")]
    shown = [_figure(film) for film in films if film.gif]
    if shown:
        parts.append(el("div", *shown, cls="films" if len(shown) > 1 else "films one"))
        parts.append(el("p", _CHOICE, cls="note"))
    for film in films:
        if not film.gif:
            parts.append(el("p", f"{_name(film.note)} could not be filmed: {film.note.error}", cls="note"))
    return el("section", *parts)


def _figure(film: Filmed) -> Html:
    words = f"{_name(film.note)}: an episode with seed {film.note.seed}"
    picture = el("img", src=data_uri("image/gif", film.gif), alt=words)
    if film.still:
        still = data_uri("image/png", film.still)
        picture = el(
            "picture",
            el("source", media="(prefers-reduced-motion: reduce)", srcset=still),
            el("source", media="print", srcset=still),
            picture,
        )
    return el("figure", picture, el("figcaption", el("strong", _name(film.note)), f" {caption(film.note)}"))


def _name(note: FilmNote) -> str:
    return _WORDS.get(note.arm, note.arm)


def caption(note: FilmNote) -> str:
    """Seed, return, success and length of the filmed episode."""
    success = {None: "", True: ", success", False: ", no success"}[note.success]
    pace = "" if abs(note.speed - 1) < 0.05 else f", shown {number(note.speed)} times as fast"
    score = number(None if note.native_return is None else float(note.native_return))
    return f"Episode seed {note.seed}: native return {score}{success}, {note.length:,} steps{pace}."
