"""What the environment card says: spaces, features, parameters, measurements, and which judge applies."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from experimenter.records import EnvSpec, Json, JudgeSpec, Record


class FeatureSource(Record):
    """Where a feature's number comes from in a raw observation.

    ``path`` walks dictionary keys; then ``rule`` says how: ``index`` takes ``array.reshape(-1)[index]``;
    ``scalar`` is a discrete observation itself; ``carrying`` and ``visible`` read a MiniGrid image for object
    ``value``; ``visible_state`` reads object ``value`` in door state ``index``; ``ever`` is the running maximum,
    within the episode, of the flag named ``of``. With ``distance``, ``visible`` is the number of cells between the
    agent and the nearest such object in view, and one more than the farthest cell when none is in view.
    """

    path: tuple[str, ...] = ()
    rule: Literal["index", "scalar", "carrying", "visible", "visible_state", "ever"] = "index"
    index: int = 0
    value: int = 0
    of: str = ""
    distance: bool = False


class Feature(Record):
    """One named number of an observation, usable in reward programs as ``t.now.<name>`` and ``t.next.<name>``."""

    name: str
    description: str = ""
    unit: str = ""
    kind: Literal["continuous", "angle", "flag", "count", "category"] = "continuous"
    low: float | None = None
    high: float | None = None
    measured_low: float = 0.0
    measured_high: float = 0.0
    origin: Literal["docstring", "measured", "family"] = "measured"
    source: FeatureSource
    possible: bool = True
    """False when the family knows that nothing in this world can move it (an object that is nowhere placed)."""


class Parameter(Record):
    """One constructor parameter that a configuration may set."""

    name: str
    type: Literal["bool", "int", "float", "str", "choice"]
    default: Json = None
    low: float | None = None
    high: float | None = None
    choices: tuple[Json, ...] = ()
    description: str = ""


class RandomRollouts(Record):
    """What a uniformly random policy met: rewards per step, episode returns and lengths, and its cost."""

    episodes: int
    steps: int
    reward_min: float
    reward_mean: float
    reward_max: float
    reward_distinct: int
    nonzero_share: float
    return_mean: float
    return_std: float
    length_mean: float
    length_max: int
    terminated_share: float
    steps_per_second: float = 0.0


class EnvCard(Record):
    """Everything known about an environment before the first training. Volatile: ``random.steps_per_second``.

    ``assumed_limit`` is where episodes are cut although the environment declares no limit; ``max_episode_steps`` is
    the same there, but ``None`` where random episodes ended by themselves often enough to speak for its length.
    """

    spec: EnvSpec
    title: str = ""
    summary: str = ""
    observation_space: Json
    action_space: Json
    action_kind: Literal["discrete", "continuous", "multi_discrete", "multi_binary"]
    action_meanings: tuple[str, ...] = ()
    features: tuple[Feature, ...]
    left_out: tuple[str, ...] = ()
    info_keys: tuple[str, ...] = ()
    parameters: tuple[Parameter, ...] = ()
    fixed_parameters: tuple[str, ...] = ()
    random: RandomRollouts
    max_episode_steps: int | None = None
    assumed_limit: int | None = None
    reward_threshold: float | None = None
    judge: JudgeSpec = JudgeSpec()
    has_source: bool = True
    has_docstring: bool = True
    card_steps: int = Field(default=0, ge=0)

    def feature(self, name: str) -> Feature:
        """The feature of that name; KeyError when there is none."""
        return next(f for f in self.features if f.name == name)
