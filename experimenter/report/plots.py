"""The report's pictures, drawn by matplotlib as SVG: twice for light and dark, twice for wide and narrow screens.

Colours are from Okabe and Ito's palette for all kinds of colour vision; arms differ in line style and marker as well.
"""

from __future__ import annotations

import base64
import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from experimenter.records import Interval
from experimenter.report.gather import ArmStory
from experimenter.report.html import Html, el
from experimenter.report.text import clip

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["curves_picture", "intervals_picture"]

_GRID_POINTS: Final = 48


@dataclass(frozen=True, slots=True)
class _Theme:
    ink: str
    faint: str
    colours: tuple[str, ...]


_LIGHT: Final = _Theme("#1f2430", "#c9ced8", ("#0072B2", "#D55E00", "#007a59", "#8a4f7d"))
_DARK: Final = _Theme("#e6e9ef", "#4a5160", ("#56B4E9", "#E69F00", "#35c79a", "#d59bc6"))
_STYLES: Final = ("-", "--", ":", "-.")
_MARKERS: Final = ("D", "s", "o", "^")
_WIDE, _NARROW = 8.6, 4.3

Draw = Callable[[Any, _Theme, bool], None]


@dataclass(frozen=True, slots=True)
class _Curve:
    """The interquartile mean over seeds with its interval, at common steps, and each seed's own points."""

    name: str
    steps: list[float]
    intervals: list[Interval]
    seeds: list[tuple[list[float], list[float]]]


def curves_picture(stories: Sequence[ArmStory]) -> Html | None:
    """Validation return against learning steps, per arm; ``None`` where no arm has a curve."""
    curves = [curve for story in stories if (curve := _curve(story)) is not None]
    if not curves:
        return None

    def draw(axes: Axes, theme: _Theme, narrow: bool) -> None:
        for index, curve in enumerate(curves):
            _draw_curve(axes, curve, theme, index)
        axes.set_xlabel("learning steps of one training")
        axes.set_ylabel("true return" if narrow else "true return (validation mean)")
        axes.xaxis.set_major_formatter(_thousands)
        axes.legend(frameon=False, labelcolor=theme.ink, loc="best", fontsize=9)

    words = "Learning curves of " + ", ".join(curve.name for curve in curves)
    return _picture(draw, words, wide=3.5, narrow=3.1)


def intervals_picture(stories: Sequence[ArmStory]) -> Html | None:
    """One row per arm: a dot per training seed, the interquartile mean, and its 95 % interval."""
    if not stories:
        return None

    def draw(axes: Axes, theme: _Theme, narrow: bool) -> None:
        for index, story in enumerate(stories):
            _draw_row(axes, story, theme, index)
        axes.set_yticks(range(len(stories)), [clip(story.arm.name, 16) for story in stories])
        axes.set_ylim(len(stories) - 0.45, -0.55)
        words = (
            "true score" if narrow else "true score (undiscounted native return, mean of held-out episodes)"
        )
        axes.set_xlabel(words)
        axes.grid(axis="y", visible=False)
        axes.tick_params(axis="y", length=0)

    words = "True scores: " + "; ".join(_row_words(story) for story in stories)
    height = 0.75 + 0.5 * len(stories)
    return _picture(draw, words, wide=height, narrow=height)


def _row_words(story: ArmStory) -> str:
    found = story.arm.interval
    return f"{story.arm.name} {found.iqm:.4g}, from {found.low:.4g} to {found.high:.4g}"


def _curve(story: ArmStory) -> _Curve | None:
    """A training that ended early keeps its last value, as its policy did."""
    import numpy as np

    from experimenter.judge.statistics import interval

    lines = []
    for training in story.trainings:
        points = [(p.steps, p.true_return) for p in training.curve if p.true_return is not None]
        if points:
            lines.append(([float(s) for s, _ in points], [float(value) for _, value in points]))
    if not lines:
        return None
    first, last = max(line[0][0] for line in lines), max(line[0][-1] for line in lines)
    own = sorted({step for line in lines for step in line[0] if step >= first})
    grid = own if len(own) <= _GRID_POINTS else list(np.linspace(first, last, _GRID_POINTS))
    values = [np.interp(grid, *line) for line in lines]
    found = [interval([float(v[i]) for v in values], 0) for i in range(len(grid))]
    return _Curve(story.arm.name, [float(g) for g in grid], found, lines)


def _draw_curve(axes: Axes, curve: _Curve, theme: _Theme, index: int) -> None:
    colour = theme.colours[index % len(theme.colours)]
    for steps, values in curve.seeds:
        axes.plot(steps, values, color=colour, linewidth=0.7, alpha=0.3)
    low, high = [i.low for i in curve.intervals], [i.high for i in curve.intervals]
    axes.fill_between(curve.steps, low, high, color=colour, alpha=0.18, linewidth=0)
    means = [i.iqm for i in curve.intervals]
    marker = _MARKERS[index % 4] if len(means) < 3 else None
    style = _STYLES[index % len(_STYLES)]
    label = clip(curve.name, 24)
    axes.plot(curve.steps, means, style, color=colour, linewidth=2.2, marker=marker, label=label)


def _draw_row(axes: Axes, story: ArmStory, theme: _Theme, index: int) -> None:
    colour, found = theme.colours[index % len(theme.colours)], story.arm.interval
    scores = [float(score) for score in story.arm.scores]
    axes.plot(
        [found.low, found.high], [index, index], color=colour, linewidth=6, alpha=0.35, solid_capstyle="round"
    )
    axes.plot(scores, [index] * len(scores), "o", color=colour, markersize=4, alpha=0.75, markeredgewidth=0)
    marker = _MARKERS[index % len(_MARKERS)]
    axes.plot(
        [found.iqm],
        [index],
        marker,
        color=colour,
        markersize=9,
        markeredgecolor=theme.ink,
        markeredgewidth=0.8,
    )


def _thousands(value: float, position: float) -> str:
    if abs(value) >= 1e6:
        return f"{value / 1e6:g} M"
    return f"{value / 1e3:g} k" if abs(value) >= 1e3 else f"{value:g}"


def _picture(draw: Draw, words: str, *, wide: float, narrow: float) -> Html:
    """A picture element with four drawings; ``wide`` and ``narrow`` are heights in inches."""

    def source(theme: _Theme, small: bool) -> str:
        return _svg(draw, theme, small, narrow if small else wide)

    dark, small = "(prefers-color-scheme: dark)", "(max-width: 640px)"
    return el(
        "picture",
        el("source", media=f"{dark} and {small}", srcset=source(_DARK, True)),
        el("source", media=dark, srcset=source(_DARK, False)),
        el("source", media=small, srcset=source(_LIGHT, True)),
        el("img", src=source(_LIGHT, False), alt=words),
    )


def _svg(draw: Draw, theme: _Theme, narrow: bool, height: float) -> str:
    """The drawing as a data URI; the same figures always give the same bytes."""
    import matplotlib
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure

    style: dict[Any, Any] = {
        "svg.hashsalt": "experimenter",
        "font.family": "DejaVu Sans",
        "font.size": 10,
        "axes.unicode_minus": True,
    }
    with matplotlib.rc_context(style):
        figure = Figure(figsize=(_NARROW if narrow else _WIDE, height), layout="constrained")
        FigureCanvasSVG(figure)
        figure.patch.set_alpha(0)
        axes = figure.add_subplot()
        _dress(axes, theme)
        if narrow:
            axes.locator_params(axis="x", nbins=5)
        draw(axes, theme, narrow)
        stream = io.BytesIO()
        figure.savefig(stream, format="svg", metadata={"Date": None, "Creator": None})
    return "data:image/svg+xml;base64," + base64.b64encode(stream.getvalue()).decode()


def _dress(axes: Axes, theme: _Theme) -> None:
    axes.set_facecolor("none")
    axes.grid(color=theme.faint, linewidth=0.6, alpha=0.7)
    axes.set_axisbelow(True)
    axes.tick_params(colors=theme.ink, labelsize=9)
    axes.xaxis.label.set_color(theme.ink)
    axes.yaxis.label.set_color(theme.ink)
    for side, spine in axes.spines.items():
        spine.set_visible(side == "bottom")
        spine.set_color(theme.faint)
