"""The shortest use from Python: a wish, an environment, a budget, and what came of it.

Run: python docs/examples/first_run.py [STEPS]
"""

import sys

from experimenter import Experimenter


def main(steps: int = 40_000) -> None:
    agent = Experimenter("CartPole-v1", budget_steps=steps, memory="off", seed=0)
    result = agent.run("keep the pole up")
    print(result.sentence)
    if result.best is not None:
        judged = agent.judge(result, episodes=10, seed=1)
        print(f"judged again on 10 fresh episodes: {judged.mean:.1f}")
    print(f"report: {result.report}")


if __name__ == "__main__":
    main(*(int(word) for word in sys.argv[1:2]))
