"""Whether a training episode would count as a success, by the same measure that the judge applies."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from experimenter.envs.families import family
from experimenter.envs.faults import foreign
from experimenter.records import EnvSpec, JudgeSpec

__all__ = ["Success"]


class Success:
    """A measure of success, asked about training episodes. Nothing it says is a result: only the judge's word is."""

    def __init__(self, judge: JudgeSpec) -> None:
        self._judge = judge

    def told(self, info: Mapping[str, Any]) -> bool:
        """Whether this step's ``info`` says so; always false for measures that do not ask it."""
        return self._judge.kind == "info" and bool(info.get(self._judge.key, False))

    def of(
        self,
        spec: EnvSpec,
        *,
        score: float,
        length: int,
        terminated: bool,
        info: Mapping[str, Any],
        told: bool,
    ) -> bool | None:
        """Of a whole episode; ``None`` where there is no measure. ``told``: whether any step's ``info`` said so."""
        match self._judge.kind:
            case "none":
                return None
            case "family":
                with foreign(spec.id, "when it was asked for success"):
                    return family(spec.family).succeeded(spec, score, terminated, info)
            case "info":
                return told
            case "return_at_least":
                return score >= self._judge.threshold
            case "length_at_least":
                return length >= self._judge.threshold
