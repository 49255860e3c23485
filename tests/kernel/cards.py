"""Environment cards made by hand, as the extractor makes them, so that planning is tested without environments."""

from __future__ import annotations

import numpy as np
from hypothesis import strategies as st

from experimenter.envs.records import EnvCard, Feature, FeatureSource, Parameter, RandomRollouts
from experimenter.records import EnvSpec, Goal


def number(name, index, declared, measured, description="", kind="continuous"):
    low, high = declared or (None, None)
    return Feature(
        name=name,
        description=description,
        kind=kind,
        low=low,
        high=high,
        measured_low=measured[0],
        measured_high=measured[1],
        source=FeatureSource(index=index),
    )


def flag(name, met, rule="carrying", of=""):
    source = FeatureSource(rule=rule, of=of)
    return Feature(name=name, kind="flag", low=0, high=1, measured_high=float(met), source=source)


def rollouts(mean, std=0.0, length=200.0, low=-1.0, high=-1.0, distinct=1, nonzero=1.0, terminated=0.0):
    return RandomRollouts(
        episodes=10,
        steps=2000,
        reward_min=low,
        reward_mean=mean / length,
        reward_max=high,
        reward_distinct=distinct,
        nonzero_share=nonzero,
        return_mean=mean,
        return_std=std,
        length_mean=length,
        length_max=int(length),
        terminated_share=terminated,
    )


def card(env_id, features, random, *, actions="discrete", limit=200, parameters=()):
    return EnvCard(
        spec=EnvSpec(id=env_id),
        observation_space={},
        action_space={},
        action_kind=actions,
        features=tuple(features),
        random=random,
        max_episode_steps=limit,
        parameters=tuple(parameters),
    )


def mountain_car():
    features = [
        number("position", 0, (-1.2, 0.6), (-0.75, -0.32), "position of the car along the x-axis"),
        number("velocity", 1, (-0.07, 0.07), (-0.018, 0.021), "velocity of the car"),
    ]
    return card("MountainCar-v0", features, rollouts(-200.0))


def cart_pole():
    features = [
        number("cart_position", 0, (-4.8, 4.8), (-0.29, 0.25), "Cart Position"),
        number("cart_velocity", 1, None, (-2.3, 1.8), "Cart Velocity"),
        number("pole_angle", 2, (-0.42, 0.42), (-0.25, 0.25), "Pole Angle", "angle"),
        number("pole_angular_velocity", 3, None, (-2.8, 3.1), "Pole Angular Velocity"),
    ]
    random = rollouts(21.7, 10.3, length=21.7, low=1.0, high=1.0, terminated=1.0)
    return card("CartPole-v1", features, random, limit=500)


def pendulum():
    features = [
        number("cos_theta", 0, (-1.0, 1.0), (-1.0, 1.0), "x = cos(theta)"),
        number("sin_theta", 1, (-1.0, 1.0), (-1.0, 1.0), "y = sin(theta)"),
        number("angular_velocity", 2, (-8.0, 8.0), (-7.9, 8.0), "Angular Velocity"),
    ]
    random = rollouts(-1166.0, 287.0, low=-16.1, high=-0.02, distinct=2000)
    gravity = Parameter(name="g", type="float", default=10.0, low=5.0, high=20.0)
    return card("Pendulum-v1", features, random, actions="continuous", parameters=[gravity])


def door_key():
    base = [
        flag("carrying_key", True),
        flag("carrying_ball", False),
        flag("sees_key", True, "visible"),
        flag("sees_goal", False, "visible"),
        flag("sees_open_door", False, "visible_state"),
        flag("sees_locked_door", True, "visible_state"),
    ]
    ever = [flag(f"ever_{f.name}", f.measured_high > 0, "ever", f.name) for f in base]
    distance = number("key_distance", 0, (0.0, 10.0), (1.0, 10.0), "cells to the nearest key", "count")
    direction = number("direction", 0, (0.0, 3.0), (0.0, 3.0), "", "category")
    random = rollouts(0.0, length=640.0, low=0.0, high=0.0, nonzero=0.0)
    parameters = [
        Parameter(name="size", type="int", default=8, low=5, high=16),
        Parameter(name="see_through_walls", type="bool", default=False),
    ]
    return card(
        "MiniGrid-DoorKey-8x8-v0",
        [*base, distance, direction, *ever],
        random,
        limit=640,
        parameters=parameters,
    )


def anonymous():
    """MountainCar as seen without a docstring."""
    features = [
        number("obs_0", 0, (-1.2, 0.6), (-0.75, -0.32)),
        number("obs_1", 1, (-0.07, 0.07), (-0.018, 0.021)),
    ]
    return card("Nameless-v0", features, rollouts(-200.0))


CARDS = {
    "mountain_car": mountain_car(),
    "cart_pole": cart_pole(),
    "pendulum": pendulum(),
    "door_key": door_key(),
    "anonymous": anonymous(),
}


def still(environment_card, names=None):
    """The card of a world in which nothing can move the features ``names``; without names, any feature."""
    dead = {f.name for f in environment_card.features} if names is None else set(names)
    changed = (f.model_copy(update={"possible": f.name not in dead}) for f in environment_card.features)
    return environment_card.model_copy(update={"features": tuple(changed)})


def goal_of(environment_card, **changes):
    return Goal(wish="do well", environment=environment_card.spec, **changes)


@st.composite
def any_card(draw):
    """A card with up to five features of any kind and any reward statistics."""
    finite = st.floats(-1e4, 1e4, allow_nan=False)
    features = []
    for i in range(draw(st.integers(0, 5))):
        low, high = sorted((draw(finite), draw(finite)))
        kind = draw(st.sampled_from(["continuous", "angle", "count", "flag", "category"]))
        declared = draw(st.sampled_from([None, (low - 1, high + 1), (-3.4e38, 3.4e38)]))
        name = draw(st.sampled_from(["obs", "velocity", "height", "speed_of_leg"])) + f"_{i}"
        features.append(number(name, i, declared, (low, high), "", kind))
        if kind == "flag" and draw(st.booleans()):
            features.append(flag(f"ever_{name}", draw(st.booleans()), "ever", name))
    mean, length = draw(st.floats(-1e3, 1e3, allow_nan=False)), draw(st.floats(1, 1000))
    low, high = sorted((draw(st.floats(-10, 10)), draw(st.floats(-10, 10))))
    random = rollouts(
        mean,
        draw(st.floats(0, 100)),
        length,
        low,
        high,
        draw(st.integers(1, 2000)),
        draw(st.floats(0, 1)),
        draw(st.floats(0, 1)),
    )
    actions = draw(st.sampled_from(["discrete", "continuous"]))
    return card(
        "Synthetic-v0", features, random, actions=actions, limit=draw(st.sampled_from([None, 1, 500]))
    )


class Batch:
    """Transitions with random features, in the shape in which reward programs get them."""

    def __init__(self, columns, rows=slice(None)):
        self._columns, self._rows = columns, rows
        self.gamma = 0.99
        self.now, self.next = _Side(columns["now"], rows), _Side(columns["next"], rows)

    def __getattr__(self, name):
        return self._columns[name][self._rows]


class _Side:
    def __init__(self, columns, rows):
        self._columns, self._rows = columns, rows

    def __getattr__(self, name):
        return self._columns[name][self._rows]


def columns_of(environment_card, count, seed, extreme=False):
    """Random columns over the card's features, far outside their ranges with ``extreme``."""
    rng = np.random.default_rng(seed)

    def side():
        values = {}
        for f in environment_card.features:
            if f.kind == "flag":
                values[f.name] = rng.integers(0, 2, count).astype(np.float32)
            else:
                spread = 1e30 if extreme else max(f.measured_high - f.measured_low, 1.0)
                values[f.name] = (rng.normal(size=count) * spread).astype(np.float32)
        return values

    discrete = environment_card.action_kind == "discrete"
    return {
        "now": side(),
        "next": side(),
        "native_reward": rng.normal(size=count).astype(np.float64),
        "terminated": rng.random(count) < 0.1,
        "action": rng.integers(0, 3, count) if discrete else rng.normal(size=(count, 2)).astype(np.float32),
    }


def run_program(source, batch):
    """The program's components, run in this process: only ever for sources that our own grammar wrote."""
    scope = {"np": np}
    exec(compile(source, "<reward>", "exec"), scope)
    return scope["reward"](batch)
