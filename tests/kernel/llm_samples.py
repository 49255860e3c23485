"""Questions of every kind about a small world with a key and a door, in the middle of a run; and replies to them."""

from __future__ import annotations

from cards import card, flag, number, rollouts

from experimenter.envs.records import Parameter
from experimenter.questions import (
    Attempt,
    ChooseHyperparameters,
    ChooseLever,
    Decompose,
    DesignEnvironments,
    ProposeTasks,
    RankRollouts,
    ReadCurve,
    Reflect,
    RolloutSummary,
    SkillSummary,
    WriteRewards,
    WriteSuccessTest,
)
from experimenter.records import (
    CurvePoint,
    Diagnosis,
    EnvSpec,
    Fault,
    Goal,
    Hyperparameters,
    Interval,
    Lesson,
    OffPolicySettings,
    RewardProgram,
    TrueReturn,
    WeightedEnv,
)

ROOM = card(
    "Room-Key-v0",
    (
        number("x", 0, (0, 8), (1, 5), "column of the agent"),
        number("y", 1, (0, 8), (1, 5), "row of the agent"),
        flag("carrying_key", 0.4),
        flag("ever_carrying_key", 0.4, "ever", "carrying_key"),
        flag("door_open", 0.0, "visible_state"),
        flag("ever_door_open", 0.0, "ever", "door_open"),
    ),
    rollouts(0.01, 0.05, low=0.0, high=0.9, distinct=2, nonzero=0.001),
    limit=640,
    parameters=(
        Parameter(name="size", type="int", default=8, low=5, high=16, description="cells along a wall"),
        Parameter(name="layout", type="choice", default="two rooms", choices=("one room", "two rooms")),
        Parameter(name="slippery", type="bool", default=False),
    ),
).model_copy(
    update={
        "summary": "A room behind a locked door.\n\nThe agent has to fetch the key, open the door and reach the goal.",
        "action_meanings": ("left", "right", "forward", "pickup", "toggle"),
    }
)
GOAL = Goal(wish="Fetch the key, open the door and reach the goal.", environment=ROOM.spec)
GOOD = """def reward(t):
    # The first time that the key is held.
    key = t.next.ever_carrying_key - t.now.ever_carrying_key
    return {"key": 0.2 * key, "goal": t.native_reward}
"""
BETTER = """def reward(t):
    key = t.next.ever_carrying_key - t.now.ever_carrying_key
    door = t.next.ever_door_open - t.now.ever_door_open
    return {"key": 0.1 * key, "door": 0.3 * door, "goal": t.native_reward}
"""
BAD = 'def reward(t):\n    return {"hold": 1.0 * t.next.carrying_key}\n'
TEST = 'def reward(t):\n    return {"success": 1.0 * (t.native_reward > 0.0)}\n'
HERE = (WeightedEnv(environment=ROOM.spec),)


def program(name, source):
    return RewardProgram(name=name, source=source)


def attempt(trial, lever="reward", **changes):
    given = {
        "cycle": int(trial[1:]),
        "environments": HERE,
        "reward": None,
        "hyperparameters": Hyperparameters(),
        "steps": 50_000,
        **changes,
    }
    return Attempt(trial=trial, lever=lever, **given)


FLOODED = Diagnosis(
    faults=(
        Fault(
            name="flooding",
            detail="hold pays 612 an episode, more than the 0.9 of an event",
            component="hold",
        ),
    ),
    curve="stuck",
)
HISTORY = (
    attempt("t0", "native", true_return=0.02, success_rate=0.02, reach=0.2, best=True),
    attempt("t1", reward=program("hold_the_key", BAD), true_return=0.0, success_rate=0.0, diagnosis=FLOODED),
    attempt(
        "t1", reward=program("key_once", GOOD), true_return=0.41, success_rate=0.45, best=True, effect=0.39
    ),
    attempt(
        "t2", reward=program("by_distance", BAD), steps=0, error="This environment has no feature distance."
    ),
    attempt(
        "t3",
        "hyperparameters",
        hyperparameters=Hyperparameters(learning_rate=3e-3),
        true_return=0.3,
        success_rate=0.31,
        effect=-0.11,
        best=True,
    ),
    attempt(
        "t4",
        "environment",
        environments=(
            WeightedEnv(environment=ROOM.spec, weight=0.5),
            WeightedEnv(environment=EnvSpec(id=ROOM.spec.id, kwargs={"size": 5}), weight=0.5),
        ),
        true_return=0.44,
        success_rate=0.5,
        effect=0.03,
        best=True,
    ),
)
LESSONS = (
    Lesson(
        id="a",
        sentence="A bonus for holding the key is farmed; one for the first time is not.",
        environment="Room-Small-v0",
        lever="reward",
        trials=("night-1/t4",),
        interval=Interval(iqm=0.91, low=0.88, high=0.93, seeds=5),
    ),
)


def curve(*values):
    return tuple(
        CurvePoint(steps=4096 * (i + 1), true_return=TrueReturn(v), success_rate=min(1.0, v), entropy=1.2)
        for i, v in enumerate(values)
    )


def questions():
    """One of every kind, and the three other faces of those that have two."""
    asked = {"goal": GOAL, "card": ROOM}
    wrong = {"failed": program("by_distance", BAD), "error": "This environment has no feature distance."}
    return {
        "propose_tasks": ProposeTasks(
            **asked, history=HISTORY, lessons=LESSONS, skills=("open-door",), count=2
        ),
        "decompose": Decompose(
            wanted=("at_goal",),
            have=("near_key",),
            skills=(
                SkillSummary(name="fetch-key", requires=("near_key",), gives=("has_key",)),
                SkillSummary(name="open-door", requires=("has_key",), gives=("door_open",)),
            ),
        ),
        "design_environments": DesignEnvironments(card=ROOM, target=ROOM.spec, count=2, history=HISTORY),
        "write_rewards": WriteRewards(**asked, count=2, history=HISTORY, lessons=LESSONS),
        "write_rewards_repair": WriteRewards(**asked, count=1, history=HISTORY, lessons=LESSONS, **wrong),
        "choose_hyperparameters": ChooseHyperparameters(
            card=ROOM, algorithm="ppo", base=Hyperparameters(), count=2, steps=50_000, history=HISTORY
        ),
        "choose_hyperparameters_dqn": ChooseHyperparameters(
            card=ROOM,
            algorithm="dqn",
            base=Hyperparameters(),
            count=1,
            steps=50_000,
            off_policy=OffPolicySettings.dqn(),
        ),
        "read_curve": ReadCurve(points=curve(0.0, 0.1, 0.3, 0.32, 0.5, 0.55, 0.61, 0.7), target=0.9),
        "rank_rollouts": RankRollouts(
            rollouts=(
                RolloutSummary(id="a", hidden_score=0.123456, words="walks in circles"),
                RolloutSummary(id="b", hidden_score=0.987654, words="fetches the key"),
            )
        ),
        "reflect": Reflect(
            **asked, lever="reward", attempts=HISTORY[1:4], baseline=HISTORY[0], effect=0.39, target=0.9
        ),
        "write_success_test": WriteSuccessTest(**asked),
        "write_success_test_repair": WriteSuccessTest(
            **asked, failed=TEST, error="It was met in 3 of 20 episodes of random actions."
        ),
        "choose_lever": ChooseLever(card=ROOM, available=("reward", "environment"), history=HISTORY),
    }


def fenced(source):
    return f"Here it is.\n\n```python\n{source}```\n"


REPLIES = {
    "propose_tasks": [
        {
            "tasks": [
                {
                    "name": "Small room",
                    "sentence": "Do it in a small room.",
                    "reason": "edge",
                    "changes": {"size": 5},
                }
            ]
        }
    ],
    "decompose": [{"skills": ["fetch-key", "open-door"], "gap": "at_goal"}],
    "design_environments": [
        {
            "mixtures": [
                {
                    "reason": "half the way",
                    "target_weight": 1.0,
                    "variants": [{"weight": 1.0, "changes": {"size": 6, "layout": "one room"}}],
                }
            ]
        }
    ],
    "write_rewards": [
        {
            "ideas": [
                {"name": "Key, then door", "idea": "first times"},
                {"name": "Key only", "idea": "the first"},
            ]
        },
        fenced(BETTER),
        fenced(GOOD.replace("0.2", "0.3")),
    ],
    "write_rewards_repair": [fenced(BETTER)],
    "choose_hyperparameters": [{"choices": [{"learning_rate": 5e-4, "num_envs": 16}, {"gamma": 0.995}]}],
    "choose_hyperparameters_dqn": [{"choices": [{"learning_rate": 5e-4}]}],
    "read_curve": [{"seen": "It rises.", "state": "improving", "keep_training": True}],
    "rank_rollouts": [{"reason": "the key", "order": ["b", "a"]}],
    "reflect": [
        {"sentence": "First times  help.", "keep_skill": True, "skill_description": "Fetches the key."}
    ],
    "write_success_test": [fenced(TEST)],
    "write_success_test_repair": [fenced(TEST.replace("> 0.0", "> 0.5"))],
    "choose_lever": [{"reason": "flooding", "lever": "reward"}],
}
"""Valid replies to each question, call by call."""
