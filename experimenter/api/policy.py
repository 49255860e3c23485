"""A kept policy in a person's own loop: observations in, actions out, in the process that asks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from experimenter.errors import UsageError
from experimenter.records import EnvSpec, Skill

if TYPE_CHECKING:
    import gymnasium

    from experimenter.policies.acting import Actor

__all__ = ["LabPolicy"]


class LabPolicy:
    """A policy that acts on single observations; made by ``Experimenter.policy`` and ``LabSkills.policy``.

        policy = lab.skills.policy("balance-pole")
        env = policy.make()
        observation, _ = env.reset(seed=7)
        policy.reset(seed=7)
        ended = False
        while not ended:
            observation, reward, terminated, truncated, _ = env.step(policy.act(observation))
            ended = terminated or truncated

    ``environment`` is where it was trained (``None``: nobody knows), ``skill`` the certificate, where it has one.
    """

    def __init__(self, actor: Actor, environment: EnvSpec | None, skill: Skill | None = None) -> None:
        self._actor = actor
        self.environment = environment
        self.skill = skill

    @property
    def mode(self) -> str:
        """``greedy``, or ``sample``: how it was validated and is judged, and therefore how it acts."""
        return self._actor.policy.action_mode

    def reset(self, seed: int | None = None) -> None:
        """Begins an episode. With the seed that the environment is reset with, a policy that samples draws as before
        the judge; without one, as it likes."""
        self._actor.reset(seed)

    def act(self, observation: Any) -> Any:
        """The action for one observation, exactly as ``reset`` and ``step`` return it.

        Box: an array of the space's shape. Discrete: a number. Dict, Tuple: of these, nested or not; text and other
        entries without numbers are not read. Returns an ``int`` for Discrete actions, else an array of the action
        space's shape and dtype, inside its bounds. Raises UsageError for an observation of another form.
        """
        return self._actor.act(observation)

    def make(self, *, pictures: bool = False) -> gymnasium.Env[Any, Any]:
        """The environment that it was trained in, with ``render_mode="rgb_array"`` where ``pictures`` are wanted.

        Raises UsageError where nobody knows which, NotFound, and EnvironmentFault, also when it draws no pictures.
        """
        from experimenter.envs.make import make
        from experimenter.envs.rendering import make_rendered

        if self.environment is None:
            raise UsageError(
                "Nobody knows where this policy was trained.", "Make its environment with gymnasium.make."
            )
        return make_rendered(self.environment) if pictures else make(self.environment)
