"""Pictures of the arms: learning curves with their intervals, and the confirmed scores side by side."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from experimenter.records import Interval
from experimenter.report.drawing import (
    Theme,
    arm_place,
    colour_of,
    direct_labels,
    in_thousands,
    marker_of,
    one_axes,
    picture,
    style_of,
)
from experimenter.report.gather import ArmStory
from experimenter.report.html import Html
from experimenter.report.text import clip

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["Bundle", "bundle", "curves_picture", "intervals_picture"]

_GRID_POINTS: Final = 48
Line = tuple[list[float], list[float]]


@dataclass(frozen=True, slots=True)
class Bundle:
    """The interquartile mean over seeds with its interval, at common steps, and each seed's own points."""

    name: str
    steps: list[float]
    intervals: list[Interval]
    seeds: list[Line]


def bundle(name: str, lines: Sequence[Line]) -> Bundle | None:
    """Lines of several seeds as one; ``None`` where there is none. A line that ends early keeps its last value."""
    import numpy as np

    from experimenter.judge.statistics import interval

    if not lines:
        return None
    first, last = max(line[0][0] for line in lines), max(line[0][-1] for line in lines)
    own = sorted({step for line in lines for step in line[0] if step >= first})
    grid = own if len(own) <= _GRID_POINTS else list(np.linspace(first, last, _GRID_POINTS))
    values = [np.interp(grid, *line) for line in lines]
    found = [interval([float(v[i]) for v in values], 0) for i in range(len(grid))]
    return Bundle(name, [float(g) for g in grid], found, list(lines))


def curves_picture(stories: Sequence[ArmStory]) -> Html | None:
    """Validation return against learning steps, per arm; ``None`` where no arm has a curve."""
    curves = [curve for story in stories if (curve := bundle(story.arm.name, _lines(story))) is not None]
    if not curves:
        return None

    def draw(figure: Figure, theme: Theme, narrow: bool) -> None:
        axes = one_axes(figure, theme, narrow)
        for curve in curves:
            _draw_curve(axes, curve, theme)
        axes.set_xlabel("learning steps of one training")
        axes.set_ylabel("true return" if narrow else "true return (validation mean)")
        axes.xaxis.set_major_formatter(in_thousands)
        direct_labels(axes, theme, [_end(curve, theme) for curve in curves])

    words = "Learning curves of " + ", ".join(curve.name for curve in curves)
    return picture(draw, words, wide=3.5, narrow=3.1)


def intervals_picture(stories: Sequence[ArmStory]) -> Html | None:
    """One row per arm: a dot per training seed, the interquartile mean, and its 95 % interval."""
    if not stories:
        return None

    def draw(figure: Figure, theme: Theme, narrow: bool) -> None:
        axes = one_axes(figure, theme, narrow)
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
    return picture(draw, words, wide=height, narrow=height)


def _row_words(story: ArmStory) -> str:
    found = story.arm.interval
    return f"{story.arm.name} {found.iqm:.4g}, from {found.low:.4g} to {found.high:.4g}"


def _lines(story: ArmStory) -> list[Line]:
    """Steps and true returns of each training that has any."""
    lines = []
    for training in story.trainings:
        points = [(p.steps, p.true_return) for p in training.curve if p.true_return is not None]
        if points:
            lines.append(([float(s) for s, _ in points], [float(value) for _, value in points]))
    return lines


def _end(curve: Bundle, theme: Theme) -> tuple[float, float, str, str]:
    colour = colour_of(theme, arm_place(curve.name))
    return curve.steps[-1], curve.intervals[-1].iqm, clip(curve.name, 16), colour


def _draw_curve(axes: Axes, curve: Bundle, theme: Theme) -> None:
    place = arm_place(curve.name)
    colour = colour_of(theme, place)
    for steps, values in curve.seeds:
        axes.plot(steps, values, color=colour, linewidth=0.7, alpha=0.3)
    low, high = [i.low for i in curve.intervals], [i.high for i in curve.intervals]
    axes.fill_between(curve.steps, low, high, color=colour, alpha=0.18, linewidth=0)
    means = [i.iqm for i in curve.intervals]
    marker = marker_of(place) if len(means) < 3 else None
    axes.plot(curve.steps, means, style_of(place), color=colour, linewidth=2.2, marker=marker)


def _draw_row(axes: Axes, story: ArmStory, theme: Theme, index: int) -> None:
    place, found = arm_place(story.arm.name), story.arm.interval
    colour, scores = colour_of(theme, place), [float(score) for score in story.arm.scores]
    ends = [found.low, found.high]
    axes.plot(ends, [index, index], color=colour, linewidth=6, alpha=0.35, solid_capstyle="round")
    axes.plot(scores, [index] * len(scores), "o", color=colour, markersize=4, alpha=0.75, markeredgewidth=0)
    axes.plot(
        [found.iqm],
        [index],
        marker_of(place),
        color=colour,
        markersize=9,
        markeredgecolor=theme.ink,
        markeredgewidth=0.8,
    )
