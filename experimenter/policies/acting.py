"""A stored policy for whoever holds one observation at a time: what ``reset`` and ``step`` return, and no batches."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from experimenter.envs.spaces import Leaf, leaves, space_from_json
from experimenter.errors import UsageError
from experimenter.policies.policy import Policy

__all__ = ["Actor", "episode_generator"]

_SAMPLING: Final = 0x6A756467


def episode_generator(seed: int) -> np.random.Generator:
    """What actions are drawn from in the episode of that seed, by the judge and by whoever repeats it."""
    return np.random.default_rng([_SAMPLING, seed])


class Actor:
    """One policy in one episode, acting as the judge lets it act: greedily or by sampling, as it was validated."""

    def __init__(self, policy: Policy) -> None:
        self.policy = policy
        self._leaves = leaves(space_from_json(policy.observation_space_json))
        self._space = space_from_json(policy.action_space_json)
        self._rng, self._memory = np.random.default_rng(), policy.blank(1)

    def reset(self, seed: int | None = None) -> None:
        """Begins an episode. With the environment's own ``seed``, it is the episode that the judge would see."""
        self._rng = np.random.default_rng() if seed is None else episode_generator(seed)
        self._memory = self.policy.blank(1)

    def act(self, observation: Any) -> Any:
        """The action for one observation, just as the environment gives it: an array of the observation space's
        shape, a number, text, or a dictionary or tuple of them; what the policy does not read may be left out.

        Returns what ``step`` takes: an ``int`` for Discrete, else an array of the action space's shape and dtype.
        Raises UsageError for an observation of another form.
        """
        batch = {leaf.name: self._row(leaf, observation)[None] for leaf in self._leaves}
        bare = self._leaves[0].keys == ()
        seen = batch[""] if bare else batch
        action = self.policy.act(seen, self.policy.action_mode, [self._rng], self._memory)[0]
        executed = np.asarray(action, dtype=self._space.dtype).reshape(self._space.shape or ())
        return executed.item() if executed.ndim == 0 else executed

    def _row(self, leaf: Leaf, observation: Any) -> NDArray[Any]:
        """The leaf's numbers in the batch's dtype."""
        array = _array(leaf, observation)
        if array is None or array.shape != leaf.shape or array.dtype.kind not in "biuf":
            found = "none" if array is None else f"{array.dtype} of shape {array.shape}"
            part = f"{leaf.name!r} of the observation" if leaf.name else "the observation"
            wanted = "text" if leaf.text is not None else f"{leaf.dtype} of shape {leaf.shape}"
            raise UsageError(
                f"The policy reads {part} as {wanted}, and got {found}.",
                "Give it one observation, as its environment returns it from reset and step.",
            )
        if array.dtype.kind == "f" and not np.isfinite(array).all():
            raise UsageError(
                "The observation holds NaN or infinity.", "Look at what the environment returned."
            )
        return array.astype(leaf.dtype)


def _array(leaf: Leaf, observation: Any) -> NDArray[Any] | None:
    try:
        for key in leaf.keys:
            observation = observation[key]
        return np.asarray(observation) if leaf.text is None else leaf.text.read(observation)
    except (KeyError, IndexError, TypeError, ValueError):
        return None
