"""What each reward component paid, over the seeds of one design: figures for tables and pictures."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from experimenter.records import ComponentTrace, Training
from experimenter.report.drawing import Theme, colour_of, direct_labels, in_thousands, one_axes, picture
from experimenter.report.html import Html
from experimenter.report.plots import Bundle, bundle
from experimenter.report.text import clip

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["MOST_DRAWN", "Paid", "earned_picture", "paid", "paid_picture"]

MOST_DRAWN: Final = 8


@dataclass(frozen=True, slots=True)
class Paid:
    """One component over all seeds: per transition at up to ten points of training, and over the whole of it.

    ``minimum`` and ``maximum`` are the extremes of any seed, ``mean`` the mean over seeds; ``share`` (of |reward|)
    and ``correlation`` (of an episode's sum with its true return) are means over the seeds that have them.
    """

    name: str
    minimum: tuple[float, ...]
    mean: tuple[float, ...]
    maximum: tuple[float, ...]
    share: float
    correlation: float | None
    seeds: int


def paid(trainings: Sequence[Training]) -> tuple[Paid, ...]:
    """Every component that any of the trainings met, the largest share first."""
    by_name: dict[str, list[ComponentTrace]] = {}
    for training in trainings:
        for trace in training.components:
            by_name.setdefault(trace.name, []).append(trace)
    found = [_paid(name, traces) for name, traces in by_name.items()]
    return tuple(sorted(found, key=lambda one: (-one.share, one.name)))


def _paid(name: str, traces: Sequence[ComponentTrace]) -> Paid:
    known = [trace.correlation for trace in traces if trace.correlation is not None]
    return Paid(
        name=name,
        minimum=_pointwise([trace.minimum for trace in traces], min),
        mean=_pointwise([trace.mean for trace in traces], _mean),
        maximum=_pointwise([trace.maximum for trace in traces], max),
        share=_mean([trace.share for trace in traces]),
        correlation=_mean(known) if known else None,
        seeds=len(traces),
    )


def _pointwise(
    series: Sequence[tuple[float, ...]], join: Callable[[Sequence[float]], float]
) -> tuple[float, ...]:
    """One value for each point, of those seeds that came so far."""
    longest = max((len(one) for one in series), default=0)
    return tuple(join([one[i] for one in series if i < len(one)]) for i in range(longest))


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)


def earned_picture(trainings: Sequence[Training], names: Sequence[str]) -> Html | None:
    """What an episode earned from each component against learning steps, with intervals over seeds."""
    found = ((place, _earned(trainings, name)) for place, name in enumerate(names[:MOST_DRAWN]))
    bundles = [(place, one) for place, one in found if one is not None]
    if not bundles:
        return None

    def draw(figure: Figure, theme: Theme, narrow: bool) -> None:
        axes = one_axes(figure, theme, narrow)
        ends = []
        for place, one in bundles:
            colour, means = colour_of(theme, place), [i.iqm for i in one.intervals]
            low, high = [i.low for i in one.intervals], [i.high for i in one.intervals]
            axes.fill_between(one.steps, low, high, color=colour, alpha=0.16, linewidth=0)
            axes.plot(one.steps, means, color=colour, linewidth=2, marker="o" if len(means) < 3 else None)
            ends.append((one.steps[-1], means[-1], clip(one.name, 14 if narrow else 24), colour))
        axes.set_xlabel("learning steps of one training")
        axes.set_ylabel("sum in an episode")
        axes.xaxis.set_major_formatter(in_thousands)
        direct_labels(axes, theme, ends, size=8.5)

    words = "What an episode earned from " + ", ".join(one.name for _, one in bundles)
    return picture(draw, words, wide=3.2, narrow=3.0)


def _earned(trainings: Sequence[Training], name: str) -> Bundle | None:
    lines = []
    for training in trainings:
        points = [(float(p.steps), p.components[name]) for p in training.curve if name in p.components]
        if points:
            lines.append(([step for step, _ in points], [value for _, value in points]))
    return bundle(name, lines)


def paid_picture(components: Sequence[Paid]) -> Html | None:
    """Small multiples: for each component its mean per transition, between the lowest and the highest ever paid."""
    shown = [one for one in components[:MOST_DRAWN] if one.mean and one.minimum and one.maximum]
    if not shown:
        return None

    def draw(figure: Figure, theme: Theme, narrow: bool) -> None:
        columns = 1 if narrow else min(3, len(shown))
        rows = -(-len(shown) // columns)
        for place, one in enumerate(shown):
            _draw_paid(figure, theme, one, place, (rows, columns))

    wide, narrow = 1.75 * -(-len(shown) // min(3, len(shown))), 1.55 * len(shown)
    words = "Reward per transition of " + ", ".join(one.name for one in shown)
    return picture(draw, words, wide=wide + 0.2, narrow=narrow)


def _draw_paid(figure: Figure, theme: Theme, one: Paid, place: int, grid: tuple[int, int]) -> None:
    axes = one_axes(figure, theme, False, *grid, place + 1)
    colour = colour_of(theme, place)
    points = list(zip(one.minimum, one.mean, one.maximum, strict=False))
    at = [100 * (i + 0.5) / len(points) for i in range(len(points))]
    if len(points) == 1:
        points, at = points * 2, [0.0, 100.0]
    low, mean, high = (list(values) for values in zip(*points, strict=True))
    axes.fill_between(at, low, high, color=colour, alpha=0.2, linewidth=0)
    axes.plot(at, mean, color=colour, linewidth=2)
    axes.set_title(clip(one.name, 28), color=theme.ink, fontsize=9.5, loc="left")
    axes.tick_params(labelsize=8)
    axes.locator_params(axis="y", nbins=4)
    axes.set_xticks([0, 50, 100], ["start", "half", "end"])
