"""The one formula that orders what memory found, and the exact figures that it is fed, whichever way was searched.

    meaning    = cosine of the question's and the text's vectors, at least 0
    similarity = 0.6 · meaning + 0.4 · nearness   where question and item name an environment, else meaning
    score      = similarity · weight              equal scores: the later item first; no score where nothing is near
                                                  and the meaning is below 0.05

Scores that are compared come from ``exact_meaning`` in float64, so that a scan and an index agree to the last digit.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from experimenter.nearness import nearness
from experimenter.records import EnvSpec, MemoryItem, MemoryQuery, Recalled

if TYPE_CHECKING:
    import numpy as np

__all__ = ["FLOOR", "MEANING_SHARE", "Asked", "Shelf", "exact_meaning", "joined"]

MEANING_SHARE: Final = 0.6
# Below this, two texts share nothing but chance; such an item is found only where its environment is near.
FLOOR: Final = 0.05
_ROWS: Final = 4096
_DIGITS: Final = 9


@dataclass(frozen=True, slots=True)
class Asked:
    """Per item, for one question: ``near`` (n,) nearness, ``placed`` (n,) whether it counts, ``weight`` (n,)."""

    near: np.ndarray
    placed: np.ndarray
    weight: np.ndarray


class Shelf:
    """The items of one recall, laid out as arrays once, however often they are asked about."""

    def __init__(self, items: Sequence[MemoryItem]) -> None:
        import numpy as np

        self.items = tuple(items)
        self.weight = np.array([item.weight for item in self.items], dtype=np.float64)
        numbers: dict[str, int] = {}
        self._specs: list[EnvSpec | None] = []
        self._group = np.array([self._number(item.spec, numbers) for item in self.items], dtype=np.int64)

    def _number(self, spec: EnvSpec | None, numbers: dict[str, int]) -> int:
        key = "" if spec is None else spec.id if not spec.kwargs else f"{spec.id} {spec.kwargs}"
        if key not in numbers:
            numbers[key] = len(self._specs)
            self._specs.append(spec)
        return numbers[key]

    def asked(self, query: MemoryQuery) -> Asked:
        """Nearness is worked out once per environment, and not once per item."""
        import numpy as np

        where = query.environment
        if where is None:
            nothing = np.zeros(len(self.items))
            return Asked(nothing, nothing > 0, self.weight)
        near = np.array([0.0 if spec is None else nearness(spec, where) for spec in self._specs])
        placed = np.array([spec is not None for spec in self._specs])
        return Asked(near[self._group], placed[self._group], self.weight)

    def best(self, asked: Asked, places: np.ndarray, meaning: np.ndarray, limit: int) -> tuple[Recalled, ...]:
        """The best ``limit`` of the items at ``places`` (m,), whose exact ``meaning`` (m,) is given."""
        import numpy as np

        scores = np.round(joined(meaning, asked, places), _DIGITS)
        order = np.lexsort((-places, -scores))
        kept = [i for i in order[:limit] if scores[i] > 0]
        return tuple(self._recalled(asked, int(places[i]), meaning[i], scores[i]) for i in kept)

    def _recalled(self, asked: Asked, place: int, meaning: float, score: float) -> Recalled:
        return Recalled(
            item=self.items[place],
            score=float(score),
            meaning=round(max(0.0, float(meaning)), _DIGITS),
            nearness=float(asked.near[place]),
        )


def joined(
    meaning: np.ndarray | float, asked: Asked, places: np.ndarray | None = None, floor: float = FLOOR
) -> np.ndarray:
    """Scores (m,) of the items at ``places`` (all, where ``None``) from their ``meaning`` (m,) or one for all."""
    import numpy as np

    near, placed, weight = asked.near, asked.placed, asked.weight
    if places is not None:
        near, placed, weight = near[places], placed[places], weight[places]
    told = np.clip(meaning, 0.0, 1.0)
    scores: np.ndarray = np.where(placed, MEANING_SHARE * told + (1 - MEANING_SHARE) * near, told) * weight
    scores[(near == 0) & (told < floor)] = 0.0
    return scores


def exact_meaning(vectors: np.ndarray, question: np.ndarray) -> np.ndarray:
    """Cosines (m,) of rows (m, d) of length 1 with ``question`` (d,), each row summed by itself in float64."""
    import numpy as np

    wide = question.astype(np.float64)
    found = np.empty(len(vectors))
    for start in range(0, len(vectors), _ROWS):
        rows = vectors[start : start + _ROWS].astype(np.float64)
        found[start : start + _ROWS] = (rows * wide).sum(axis=1)
    return np.clip(found, -1.0, 1.0)
