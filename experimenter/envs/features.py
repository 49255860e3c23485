"""Computes named features from batches of raw observations, for reward programs and sub-task flags.

A feature's ``source`` is plain data, so the worker that trains extracts exactly what the card named.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from experimenter.envs.pipeline import Observations
from experimenter.envs.records import Feature

__all__ = ["EverTracker", "FeatureExtractor", "farthest", "view_distances"]

Features = dict[str, np.ndarray]


def view_distances(width: int, height: int) -> np.ndarray:
    """float32 (width * height,): cells between the agent and each cell of its view (Manhattan).

    In MiniGrid's egocentric view the agent stands in the middle of the last row, looking at the first.
    """
    columns, rows = np.indices((width, height))
    return (np.abs(columns - width // 2) + (height - 1 - rows)).astype(np.float32).reshape(-1)


def farthest(width: int, height: int) -> float:
    """The distance that stands for *not in view*: one more than the farthest cell."""
    return float(view_distances(width, height).max()) + 1.0


class FeatureExtractor:
    """Extracts ``features`` from observations as ``SyncVector`` returns them; float32 (n,) each, fresh arrays.

    The ``ever`` flags need an episode's history: see ``EverTracker``. ``now`` names the others.
    """

    def __init__(self, features: Sequence[Feature]) -> None:
        self.features = tuple(features)
        self.now = tuple(f.name for f in self.features if f.source.rule != "ever")
        self.ever = {f.name: f.source.of for f in self.features if f.source.rule == "ever"}
        self._flat: dict[str, list[tuple[str, int]]] = {}
        self._views: dict[str, list[Feature]] = {}
        for feature in self.features:
            key = ".".join(feature.source.path)
            if feature.source.rule in ("index", "scalar"):
                index = feature.source.index if feature.source.rule == "index" else 0
                self._flat.setdefault(key, []).append((feature.name, index))
            elif feature.source.rule != "ever":
                self._views.setdefault(key, []).append(feature)
        self._readers = {key: _ViewReader(found) for key, found in self._views.items()}

    def extract(self, obs: Observations) -> Features:
        """Every feature but the ``ever`` ones; raises KeyError when an observation lacks a feature's path."""
        out: Features = {}
        for key, wanted in self._flat.items():
            array = _at(obs, key)
            columns = array.reshape(len(array), -1).T.astype(np.float32, order="C")
            for name, index in wanted:
                out[name] = columns[index]
        for key, reader in self._readers.items():
            reader.read(_at(obs, key), out)
        return out


def _at(obs: Observations, key: str) -> np.ndarray:
    return np.asarray(obs[key] if isinstance(obs, Mapping) else obs)


class _ViewReader:
    """All features of one MiniGrid view in a few array operations."""

    def __init__(self, features: Sequence[Feature]) -> None:
        self._carried = [f for f in features if f.source.rule == "carrying"]
        self._states = [f for f in features if f.source.rule == "visible_state"]
        self._seen = [f for f in features if f.source.rule == "visible" and not f.source.distance]
        self._near = [f for f in features if f.source.rule == "visible" and f.source.distance]
        self._values = sorted({f.source.value for f in (*self._seen, *self._near)})

    def read(self, image: np.ndarray, out: Features) -> None:
        """Works on (cells, n): reducing over the first axis is what numpy does fastest."""
        n, width, height = image.shape[:3]
        agent = (width // 2) * height + height - 1
        around = np.array(image[..., 0].reshape(n, -1).T, order="C")
        carried = around[agent].copy()
        around[agent] = 0
        for feature in self._carried:
            out[feature.name] = (carried == feature.source.value).astype(np.float32)
        if self._states:
            states = np.array(image[..., 2].reshape(n, -1).T, order="C")
            for feature in self._states:
                match = (around == feature.source.value) & (states == feature.source.index)
                out[feature.name] = match.any(axis=0).astype(np.float32)
        self._visible(around, width, height, out)

    def _visible(self, around: np.ndarray, width: int, height: int, out: Features) -> None:
        cells = view_distances(width, height).astype(np.uint8)[:, None]
        nowhere = np.uint8(farthest(width, height))
        masks = {value: around == value for value in self._values}
        for feature in self._seen:
            out[feature.name] = masks[feature.source.value].any(axis=0).astype(np.float32)
        for feature in self._near:
            away: np.ndarray = np.where(masks[feature.source.value], cells, nowhere)
            out[feature.name] = away.min(axis=0).astype(np.float32)


class EverTracker:
    """Adds ``ever_<flag>``: whether a flag was on at any time of the running episode of each environment.

    Call ``update`` with what follows from a step (no resets), then, where episodes ended, with the first features of
    the new ones and ``reset_mask`` true there. ``rollout`` does a whole rollout at once.
    """

    def __init__(self, extractor: FeatureExtractor, num_envs: int) -> None:
        self._of = tuple(extractor.ever.items())
        self._state = np.zeros((len(self._of), num_envs), dtype=np.float32)

    def update(self, features: Mapping[str, np.ndarray], reset_mask: np.ndarray | None = None) -> Features:
        """``features`` (n,) each, and the ``ever`` flags after them; forgets first where ``reset_mask`` (n,)."""
        if not self._of:
            return dict(features)
        if reset_mask is not None:
            self._state[:, reset_mask] = 0.0
        np.maximum(self._state, np.stack([features[flag] for _, flag in self._of]), out=self._state)
        told = self._state.copy()
        return {**features, **{name: told[row] for row, (name, _) in enumerate(self._of)}}

    def rollout(
        self, now: Mapping[str, np.ndarray], after: Mapping[str, np.ndarray], done: np.ndarray
    ) -> tuple[Features, Features]:
        """Both sides of T × n transitions with their flags: arrays (T, n), ``done`` bool (T, n).

        ``now`` is what was acted on, ``after`` the true next observation. The history goes on from the last call.
        """
        if not self._of:
            return dict(now), dict(after)
        before = np.stack([now[flag] for _, flag in self._of], axis=1).astype(np.float32)
        later = np.stack([after[flag] for _, flag in self._of], axis=1).astype(np.float32)
        for t in range(len(done)):
            np.maximum(before[t], self._state, out=before[t])
            np.maximum(later[t], before[t], out=later[t])
            self._state[:] = later[t]
            self._state[:, done[t]] = 0.0
        names = [name for name, _ in self._of]
        return (
            {**now, **{name: before[:, row] for row, name in enumerate(names)}},
            {**after, **{name: later[:, row] for row, name in enumerate(names)}},
        )

    def get_state(self) -> list[list[float]]:
        """The history, as plain numbers, for a checkpoint."""
        return [[float(x) for x in row] for row in self._state]

    def set_state(self, state: Sequence[Sequence[float]]) -> None:
        """Takes up a stored history; raises ValueError when its shape does not fit."""
        stored: Any = np.array(state, dtype=np.float32).reshape(self._state.shape)
        self._state[:] = stored
