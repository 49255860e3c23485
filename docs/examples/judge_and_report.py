"""Benches a reward program before any run, then judges a run's policy on fresh episodes and writes its report.

Run: python docs/examples/judge_and_report.py [STEPS]
"""

import sys

from experimenter import Experimenter

UPRIGHT = """
def reward(t):
    return {"upright": 1.0 - np.abs(t.next.pole_angle), "centred": -0.1 * np.abs(t.next.cart_position)}
"""


def main(steps: int = 40_000) -> None:
    lab = Experimenter(
        "CartPole-v1", budget_steps=steps, confirm_seeds=2, designs=2, controls="native", memory="off"
    )
    bench = lab.bench(UPRIGHT, steps=2_048, seeds=1)
    print(f"the program: {bench.sentence}")

    result = lab.run("keep the pole up", name="judged")
    fresh = lab.judge(result, episodes=10, seed=1)
    print(
        f"judged on {len(fresh.scores)} fresh episodes: mean {fresh.mean:.1f}, worst {min(fresh.scores):.0f}"
    )

    if result.best is not None:
        best = lab.explain(result.best.trial)[0]
        print(f"the best design, {best.design}: {' '.join(best.words)}")

    for name, path in lab.report(result.run, formats=("html", "md", "card"), films=True).items():
        print(f"{name}: {path}")


if __name__ == "__main__":
    main(*(int(word) for word in sys.argv[1:2]))
