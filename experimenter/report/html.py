"""HTML that cannot be injected into: every string is escaped unless it was built here."""

from __future__ import annotations

import base64
import html
from collections.abc import Iterable, Sequence

from experimenter.report.text import safe_text

__all__ = ["Html", "data_uri", "el", "facts", "join", "table"]


class Html(str):
    """Markup that is safe because ``el`` built it. Never make one from foreign text."""

    __slots__ = ()


def _safe(part: object) -> str:
    return part if isinstance(part, Html) else html.escape(safe_text(part, lines=True), quote=True)


def el(name: str, /, *children: object, cls: str = "", **attributes: str) -> Html:
    """An element; children and attribute values that are not ``Html`` are escaped."""
    marks = {"class": cls, **attributes} if cls else attributes
    words = "".join(f' {key.replace("_", "-")}="{_safe(value)}"' for key, value in marks.items())
    if name in ("img", "meta", "source", "br"):
        return Html(f"<{name}{words}>")
    return Html(f"<{name}{words}>{''.join(_safe(child) for child in children)}</{name}>")


def data_uri(kind: str, data: bytes) -> Html:
    """``data`` of the media type ``kind`` as an address; base64 needs no escaping, which matters for its length."""
    return Html(f"data:{kind};base64,{base64.b64encode(data).decode()}")


def join(parts: Iterable[Html]) -> Html:
    """Elements one after the other."""
    return Html("".join(parts))


def table(
    head: Sequence[str],
    rows: Iterable[Sequence[object]],
    figures: Sequence[int] = (),
    wide: Sequence[int] = (),
) -> Html:
    """A table that scrolls by itself on a narrow screen; columns numbered in ``figures`` are set to the right.

    Those in ``wide`` hold sentences, and keep a width in which they can be read.
    """

    def cell(name: str, index: int, value: object) -> Html:
        return el(name, value, cls="figure" if index in figures else "wide" if index in wide else "")

    top = el("tr", *(cell("th", i, word) for i, word in enumerate(head)))
    body = [el("tr", *(cell("td", i, value) for i, value in enumerate(row))) for row in rows]
    return el("div", el("table", el("thead", top), el("tbody", *body)), cls="scroll")


def facts(rows: Iterable[tuple[str, object]]) -> Html:
    """A list of names with what is known of each."""
    return el("dl", *(el("div", el("dt", name), el("dd", value)) for name, value in rows), cls="facts")
