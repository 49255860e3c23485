"""How every picture of the report is made: matplotlib SVG, twice for light and dark, twice for wide and narrow screens.

Colours are from Okabe and Ito's palette for all kinds of colour vision. An arm keeps its colour in every picture.
"""

from __future__ import annotations

import io
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from experimenter.report.html import Html, data_uri, el

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = [
    "DARK",
    "LIGHT",
    "Draw",
    "Theme",
    "arm_place",
    "colour_of",
    "direct_labels",
    "in_thousands",
    "marker_of",
    "one_axes",
    "picture",
    "style_of",
]


@dataclass(frozen=True, slots=True)
class Theme:
    """Colours of one drawing; ``faint`` is for grids, ``paper`` what lies behind."""

    ink: str
    faint: str
    paper: str
    colours: tuple[str, ...]


def _all(theme: Theme) -> tuple[str, ...]:
    return (theme.ink, theme.faint, theme.paper, *theme.colours)


LIGHT: Final = Theme(
    "#1f2430",
    "#c9ced8",
    "#fbfbf9",
    ("#0072B2", "#D55E00", "#007a59", "#8a4f7d", "#7a6000", "#3f5fa8", "#a0522d", "#4d4d4d"),
)
DARK: Final = Theme(
    "#e6e9ef",
    "#4a5160",
    "#14171d",
    ("#56B4E9", "#E69F00", "#35c79a", "#d59bc6", "#d9c95a", "#9db5f0", "#e8a98a", "#bfbfbf"),
)
# Matplotlib writes colours in lower case; no two of the light ones are the same.
_TO_DARK: Final = {light.lower(): dark.lower() for light, dark in zip(_all(LIGHT), _all(DARK), strict=True)}
_COLOURS: Final = re.compile("|".join(_TO_DARK))
_STYLES: Final = ("-", "--", ":", "-.")
_MARKERS: Final = ("D", "s", "o", "^")
_ARMS: Final = ("winner", "native", "random")
_WIDE, _NARROW = 8.6, 4.3

Draw = Callable[["Figure", Theme, bool], None]


def arm_place(name: str) -> int:
    """The place of an arm in the palette, the same in every report."""
    return _ARMS.index(name) if name in _ARMS else len(_ARMS)


def colour_of(theme: Theme, place: int) -> str:
    return theme.colours[place % len(theme.colours)]


def style_of(place: int) -> str:
    return _STYLES[place % len(_STYLES)]


def marker_of(place: int) -> str:
    return _MARKERS[place % len(_MARKERS)]


def in_thousands(value: float, position: float) -> str:
    """A tick's label for steps: 2 k, 1.5 M."""
    if abs(value) >= 1e6:
        return f"{value / 1e6:g} M"
    return f"{value / 1e3:g} k" if abs(value) >= 1e3 else f"{value:g}"


def picture(draw: Draw, words: str, *, wide: float, narrow: float) -> Html:
    """A picture element with four drawings; ``wide`` and ``narrow`` are heights in inches, ``words`` describe it."""
    large, small = _svg(draw, False, wide), _svg(draw, True, narrow)
    dark, slim = "screen and (prefers-color-scheme: dark)", "screen and (max-width: 640px)"
    return el(
        "picture",
        el("source", media=f"{dark} and (max-width: 640px)", srcset=_uri(_darkened(small))),
        el("source", media=dark, srcset=_uri(_darkened(large))),
        el("source", media=slim, srcset=_uri(small)),
        el("img", src=_uri(large), alt=words),
    )


def _uri(svg: str) -> Html:
    return data_uri("image/svg+xml", svg.encode())


def _darkened(svg: str) -> str:
    """The same drawing on dark paper: laying a figure out anew takes far longer than changing its colours."""
    return _COLOURS.sub(lambda found: _TO_DARK[found[0]], svg)


def _svg(draw: Draw, narrow: bool, height: float) -> str:
    """The drawing for light paper; the same figures always give the same text."""
    import matplotlib
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure

    style: dict[Any, Any] = {
        "svg.hashsalt": "experimenter",
        "font.family": "DejaVu Sans",
        "font.size": 10,
        "axes.unicode_minus": True,
        "text.parse_math": False,
    }
    with matplotlib.rc_context(style):
        figure = Figure(figsize=(_NARROW if narrow else _WIDE, height), layout="constrained", dpi=100)
        FigureCanvasSVG(figure)
        figure.patch.set_alpha(0)
        draw(figure, LIGHT, narrow)
        stream = io.StringIO()
        figure.savefig(stream, format="svg", metadata={"Date": None, "Creator": None})
    return stream.getvalue()


def one_axes(figure: Figure, theme: Theme, narrow: bool, *place: int) -> Axes:
    """Axes in the report's dress; ``place`` is as in ``add_subplot``."""
    axes = figure.add_subplot(*place) if place else figure.add_subplot()
    axes.set_facecolor("none")
    axes.grid(color=theme.faint, linewidth=0.6, alpha=0.7)
    axes.set_axisbelow(True)
    axes.tick_params(colors=theme.ink, labelsize=9)
    axes.xaxis.label.set_color(theme.ink)
    axes.yaxis.label.set_color(theme.ink)
    for side, spine in axes.spines.items():
        spine.set_visible(side == "bottom")
        spine.set_color(theme.faint)
    if narrow:
        axes.locator_params(axis="x", nbins=5)
    return axes


def direct_labels(
    axes: Axes, theme: Theme, ends: Sequence[tuple[float, float, str, str]], *, size: float = 9.5
) -> None:
    """Names lines at their right end, (x, y, words, colour) each, pushed apart where they would overlap."""
    from matplotlib.patheffects import withStroke

    low, high = axes.get_ylim()
    left, right = axes.get_xlim()
    points = axes.get_figure(root=True).get_figheight() * 72 * 0.78  # type: ignore[union-attr]
    gap = (high - low) * size * 1.25 / max(points, 1.0)
    placed: list[tuple[float, float]] = []
    for x, y, words, colour in sorted(ends, key=lambda end: end[1]):
        near = [at + gap for there, at in placed if abs(there - x) < 0.2 * (right - left)]
        at = max([y, *near])
        placed.append((x, at))
        label = axes.annotate(
            words,
            (x, at),
            xytext=(6, 0),
            textcoords="offset points",
            color=colour,
            fontsize=size,
            va="center",
            fontweight="bold",
            annotation_clip=False,
        )
        label.set_path_effects([withStroke(linewidth=3.5, foreground=theme.paper)])
