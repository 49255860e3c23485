"""What an environment does, written down, so that a skill can tell whether its environment is still the same.

A fixed seed, fixed random actions and a hundred steps say more than an id: a new release may move a constant, a
person's module may be edited. The parts are kept apart, so that a refusal can name what changed. Numbers are compared
with a tolerance, because another machine's last bits are no change.
"""

from __future__ import annotations

import hashlib
import inspect
from collections.abc import Callable, Mapping
from functools import cache
from importlib.metadata import PackageNotFoundError, packages_distributions, version
from pathlib import Path
from typing import Any, Final, Literal

import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray

from experimenter.envs.faults import deadline, foreign
from experimenter.envs.gymnasium_family import find
from experimenter.envs.spaces import space_to_json, without_text
from experimenter.envs.vector import SyncVector
from experimenter.errors import EnvironmentFault
from experimenter.identity import digest, seeds
from experimenter.records import EnvSpec, Fingerprint, Json, Record

__all__ = ["STEPS", "Change", "changes", "fingerprint"]

STEPS: Final = 96
WIDTH: Final = 8
STEP_SECONDS: Final = 20.0
TOLERANCE: Final = 1e-4
UNKNOWN: Final = "unknown"
_DIGITS: Final = 7
Rows = NDArray[np.float64]


class Change(Record):
    """One difference between two fingerprints, in words. ``version`` alone leaves what the environment does alone."""

    part: Literal["spaces", "parameters", "limit", "dynamics", "version"]
    words: str


def fingerprint(spec: EnvSpec, alive: Callable[[int], None] = lambda step: None) -> Fingerprint:
    """Probes ``spec`` twice for ``STEPS`` steps each; call it in a worker, where it may hang or crash.

    ``alive`` hears of every step. Raises NotFound or EnvironmentFault.
    """
    first, again = _trace(spec, alive), _trace(spec, alive)
    same = first.shape == again.shape and bool(np.allclose(first, again, rtol=TOLERANCE, atol=TOLERANCE))
    trace = _rounded(first) if same else ()
    vector = SyncVector(spec, 1)
    try:
        inner = vector.unwrapped()
        return Fingerprint(
            environment=spec.id,
            parameters=_parameters(spec),
            observation=_form(space_to_json(vector.observation_space)),
            action=space_to_json(vector.action_space),
            limit=vector.assumed_limit() or _limit(vector),
            deterministic=same,
            trace=trace,
            dynamics=digest(_coarse(first)) if same else "",
            versions=_versions(inner),
        )
    finally:
        vector.close()


def changes(before: Fingerprint, now: Fingerprint) -> tuple[Change, ...]:
    """Every difference that matters, the gravest first; empty when the environment is the same."""
    found = [*_spaces(before, now), *_parameter_changes(before, now), *_limits(before, now)]
    if not found:
        found += _dynamics(before, now)
    found += _version_changes(before, now)
    return tuple(found)


def _trace(spec: EnvSpec, alive: Callable[[int], None]) -> Rows:
    """(STEPS + 1, WIDTH + 3) numbers: observation, reward, terminated, truncated."""
    reset_seed, action_seed = seeds(0, "probe", 2, "fingerprint")
    rng, rows = np.random.default_rng(action_seed), []
    vector = SyncVector(spec, 1)
    try:
        with deadline(spec.id, "at reset", STEP_SECONDS):
            seen = vector.reset([reset_seed])
        rows.append([*_projected(seen), 0.0, 0.0, 0.0])
        for step in range(1, STEPS + 1):
            action = _action(vector.action_space, rng)
            with deadline(spec.id, f"at step {step} of the fingerprint", STEP_SECONDS):
                moved = vector.step(action[None])
            flags = float(moved.terminated[0]), float(moved.truncated[0])
            rows.append([*_projected(moved.next_obs), float(moved.reward[0]), *flags])
            alive(step)
    finally:
        vector.close()
    return np.array(rows)


def _projected(seen: Any) -> NDArray[np.float64]:
    """An observation as ``WIDTH`` numbers: as it is where it is short, else its sums with fixed random signs."""
    arrays = [seen[name] for name in sorted(seen)] if isinstance(seen, Mapping) else [seen]
    flat = np.concatenate([np.asarray(array, dtype=np.float64).reshape(-1) for array in arrays])
    if flat.size <= WIDTH:
        return np.pad(flat, (0, WIDTH - flat.size))
    signs = np.random.default_rng(flat.size).integers(0, 2, (WIDTH, flat.size)) * 2 - 1
    summed: NDArray[np.float64] = signs @ flat / np.sqrt(flat.size)
    return summed


def _action(space: Any, rng: np.random.Generator) -> NDArray[Any]:
    """A uniform action, drawn here and not by Gymnasium, whose way of sampling may change between releases."""
    if isinstance(space, spaces.Discrete):
        return np.asarray(space.start + rng.integers(space.n))
    if isinstance(space, spaces.MultiDiscrete):
        return np.asarray(space.start + rng.integers(0, space.nvec), dtype=space.dtype)
    if isinstance(space, spaces.MultiBinary):
        return rng.integers(0, 2, space.shape).astype(space.dtype)
    if isinstance(space, spaces.Box):
        low = np.where(np.isfinite(space.low), space.low, -1.0)
        high = np.where(np.isfinite(space.high), space.high, np.maximum(low + 2.0, 1.0))
        return rng.uniform(low, np.maximum(low, high)).astype(space.dtype)
    raise EnvironmentFault(
        f"Actions of space {space} are not supported.",
        "Use Discrete, MultiDiscrete, MultiBinary or a Box of real numbers.",
    )


def _rounded(rows: Rows) -> tuple[tuple[float, ...], ...]:
    return tuple(tuple(float(f"{number:.{_DIGITS}g}") for number in row) for row in rows)


def _coarse(rows: Rows) -> list[list[float]]:
    """Three digits of each column's largest number: for the hash, which only names; ``changes`` is what decides."""
    grain = np.maximum(np.abs(rows).max(axis=0), 1e-6) * 1e-3
    return [[float(number) for number in row] for row in np.round(rows / grain)]


def _parameters(spec: EnvSpec) -> dict[str, Json]:
    """What the constructor gets: as registered, then as the specification says; plain data only."""
    given = {**find(spec.id).kwargs, **spec.kwargs}
    return {name: value if _plain(value) else type(value).__name__ for name, value in sorted(given.items())}


def _plain(value: Any) -> bool:
    if isinstance(value, (list, tuple)):
        return all(map(_plain, value))
    if isinstance(value, dict):
        return all(isinstance(key, str) and _plain(item) for key, item in value.items())
    finite = not isinstance(value, float) or bool(np.isfinite(value))
    return finite and (value is None or isinstance(value, (bool, int, float, str)))


def _form(space: Json) -> Json:
    """An observation space without its bounds, which no policy relies on."""
    if isinstance(space, dict):
        return {key: _form(value) for key, value in space.items() if key not in ("low", "high")}
    return [_form(item) for item in space] if isinstance(space, list) else space


def _limit(vector: SyncVector) -> int | None:
    registered = vector.env_spec()
    told = getattr(registered, "max_episode_steps", None)
    return int(told) if told else None


def _versions(inner: Any) -> dict[str, str]:
    """Releases of the packages that define the environment; of a loose module, the digest of its source."""
    module = type(inner).__module__.partition(".")[0]
    found = {name: _version(name) for name in sorted({"gymnasium", *_owners(module)})}
    if not _owners(module):
        with foreign(module, "when its source was read"):
            source = inspect.getsourcefile(type(inner))
            text = Path(source).read_bytes() if source else b""
        found[module] = f"source {hashlib.blake2b(text, digest_size=6).hexdigest()}"
    return found


@cache
def _owners(module: str) -> tuple[str, ...]:
    """The packages that a module comes from. Most are named like it, and looking through all of them takes long."""
    if _version(module) != UNKNOWN:
        return (module,)
    return tuple(sorted(set(packages_distributions().get(module, ()))))


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return UNKNOWN


def _spaces(before: Fingerprint, now: Fingerprint) -> list[Change]:
    """Text that an older release did not read is no other form: a policy that overlooks it can act all the same."""
    newly_read = before.observation not in (now.observation, None)
    newly_read = newly_read and before.observation == without_text(now.observation)
    if newly_read and digest(before.action) == digest(now.action):
        return [Change(part="dynamics", words="its text is read now, and was not when this was certified")]
    pairs = (
        ("observations", before.observation, now.observation),
        ("actions", before.action, now.action),
    )
    return [
        Change(part="spaces", words=f"its {what} have another form than the policy was trained for")
        for what, old, new in pairs
        if digest(old) != digest(new)
    ]


def _parameter_changes(before: Fingerprint, now: Fingerprint) -> list[Change]:
    old, new = before.parameters, now.parameters
    names = sorted(name for name in {*old, *new} if digest(old.get(name)) != digest(new.get(name)))
    told = [f"{name} is {new.get(name, 'unset')} and was {old.get(name, 'unset')}" for name in names]
    if before.environment != now.environment:
        told.insert(0, f"it is {now.environment} and was {before.environment}")
    return [Change(part="parameters", words="; ".join(told))] if told else []


def _limits(before: Fingerprint, now: Fingerprint) -> list[Change]:
    if before.limit == now.limit:
        return []
    words = f"episodes are cut after {now.limit or 'no'} steps, and after {before.limit or 'no'} steps before"
    return [Change(part="limit", words=words)]


def _dynamics(before: Fingerprint, now: Fingerprint) -> list[Change]:
    if not before.deterministic:
        return []
    if not now.deterministic:
        return [Change(part="dynamics", words="the same seed and actions no longer give the same episode")]
    old, new = np.array(before.trace), np.array(now.trace)
    if old.shape != new.shape:
        return [Change(part="dynamics", words="it was probed in another way; certify it again")]
    scale = np.maximum(np.abs(old).max(axis=0), 1e-3)
    off = np.abs(old - new) > TOLERANCE * scale
    if not off.any():
        return []
    step = int(np.flatnonzero(off.any(axis=1))[0])
    columns = off[step]
    what = "observation" if columns[:WIDTH].any() else "reward" if columns[WIDTH] else "end of the episode"
    words = f"with the same seed and actions, the {what} differs from step {step} of {len(old) - 1} on"
    return [Change(part="dynamics", words=words)]


def _version_changes(before: Fingerprint, now: Fingerprint) -> list[Change]:
    names = sorted(
        name
        for name in {*before.versions, *now.versions}
        if before.versions.get(name) != now.versions.get(name)
    )
    told = [
        f"{name} is {now.versions.get(name, 'absent')} and was {before.versions.get(name, 'absent')}"
        for name in names
    ]
    return [Change(part="version", words="; ".join(told))] if told else []
