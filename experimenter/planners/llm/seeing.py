"""What a model that can see is shown beside the words: a learning curve as a plot, rollouts as strips of frames.

Rollouts are compared two at a time: vision models judge pairs far better than long lists.
"""

from __future__ import annotations

import io
import json
import random
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from experimenter.planners.llm.prompting import Prompt
from experimenter.planners.llm.quoting import inline
from experimenter.questions import Question, RankRollouts, ReadCurve, RolloutSummary
from experimenter.records import CurvePoint

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

__all__ = ["by_pairs", "curve_png", "has_pictures", "strip_png", "with_pictures"]

_FRAMES: Final = 6
_HEIGHT: Final = 128
_WIDEST: Final = 1_536


def has_pictures(question: Question) -> bool:
    """Whether there is anything to see of this question."""
    if isinstance(question, RankRollouts):
        return all(rollout.strip for rollout in question.rollouts)
    return isinstance(question, ReadCurve)


def with_pictures(question: Question, prompt: Prompt) -> Prompt:
    """The same prompt with its pictures, and a line that says what they are."""
    if isinstance(question, ReadCurve):
        said = "The picture shows the same curve."
        images: tuple[bytes, ...] = (curve_png(question.points, question.target),)
    elif isinstance(question, RankRollouts):
        names = ", ".join(json.dumps(inline(one.id, 80)) for one in question.rollouts)
        said = f"The pictures show frames of the rollouts from beginning to end, in this order: {names}."
        images = tuple(one.strip for one in question.rollouts)
    else:
        return prompt
    last = prompt.messages[-1]
    told = last.model_copy(update={"text": f"{last.text}\n\n{said}", "images": images})
    return replace(prompt, messages=(*prompt.messages[:-1], told))


def by_pairs(
    question: RankRollouts, better: Callable[[RankRollouts], tuple[str, ...]]
) -> tuple[tuple[str, ...], int]:
    """Ids from best to worst by insertion into an ordered list, and how many pairs were compared.

    ``better`` orders a question of two rollouts. Which of the two comes first is drawn from the question's seed, and
    so is the order of insertion.
    """
    draw = random.Random(question.seed)
    order: list[RolloutSummary] = []
    compared = 0
    for rollout in draw.sample(question.rollouts, len(question.rollouts)):
        low, high = 0, len(order)
        while low < high:
            middle = (low + high) // 2
            pair = draw.sample((rollout, order[middle]), 2)
            compared += 1
            if better(question.model_copy(update={"rollouts": tuple(pair)}))[0] == rollout.id:
                high = middle
            else:
                low = middle + 1
        order.insert(low, rollout)
    return tuple(rollout.id for rollout in order), compared


def curve_png(points: Sequence[CurvePoint], target: float | None) -> bytes:
    """True return over learning steps, 480 × 320 pixels; the target is a dashed line."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(4.8, 3.2), dpi=100, layout="constrained")
    axes = figure.subplots()
    seen = [(point.steps, point.true_return) for point in points if point.true_return is not None]
    axes.plot(
        [steps for steps, _ in seen], [value for _, value in seen], marker="o", markersize=3, color="#0072B2"
    )
    if target is not None:
        axes.axhline(target, linestyle="--", color="#D55E00", label="target")
        axes.legend(loc="best")
    axes.set_xlabel("learning steps")
    axes.set_ylabel("true return")
    axes.grid(visible=True, alpha=0.3)
    out = io.BytesIO()
    figure.savefig(out, format="png", metadata={"Software": None})
    return out.getvalue()


def strip_png(frames: Sequence[NDArray[np.uint8]]) -> bytes:
    """Up to six frames, evenly spaced with the first and the last among them, side by side in one PNG.

    ``frames`` are of shape (height, width, 3), RGB. Raises ValueError where there is none.
    """
    from PIL import Image

    if not frames:
        raise ValueError("a strip needs at least one frame")
    count = min(_FRAMES, len(frames))
    chosen = [frames[round(place * (len(frames) - 1) / max(1, count - 1))] for place in range(count)]
    height, width = chosen[0].shape[:2]
    scale = min(_HEIGHT / height, _WIDEST / (width * count))
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    strip = Image.new("RGB", (size[0] * count, size[1]))
    for place, frame in enumerate(chosen):
        strip.paste(Image.fromarray(frame).resize(size), (place * size[0], 0))
    out = io.BytesIO()
    strip.save(out, format="PNG")
    return out.getvalue()
