"""What a run leaves behind: the next run recalls it, memory finds it, and its policy acts in a loop of your own.

Run: python docs/examples/memory_and_skills.py [STEPS]
"""

import sys
from typing import Any

import gymnasium

from experimenter import Experimenter


def main(steps: int = 40_000) -> None:
    settings: dict[str, Any] = {"budget_steps": steps, "confirm_seeds": 2, "designs": 2, "controls": "none"}
    lab = Experimenter("CartPole-v1", seed=0, **settings)
    print(lab.run("keep the pole up").sentence)

    second = Experimenter("CartPole-v1", seed=1, **settings).run("keep the pole up again")
    for event in lab.follow(second.run):
        if event.kind == "recall.finished":
            recalled = event.data
            print(f"it recalled {len(recalled['lessons'])} lessons and the skills {recalled['skills']}")
            break

    for found in lab.memory.search("how is the pole kept up", limit=3):
        print(f"{found.score:.2f}  {found.item.id}  {found.item.text[:80]}")

    skill = lab.skills.list()[0]
    policy = lab.skills.policy(skill.name)
    with gymnasium.make("CartPole-v1") as env:
        observation, _ = env.reset(seed=7)
        policy.reset(seed=7)
        steps_up, ended = 0, False
        while not ended:
            observation, _, terminated, truncated, _ = env.step(policy.act(observation))
            steps_up, ended = steps_up + 1, terminated or truncated
    print(f"{skill.name} kept the pole up for {steps_up} steps")


if __name__ == "__main__":
    main(*(int(word) for word in sys.argv[1:2]))
