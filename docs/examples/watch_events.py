"""Follows a run while it goes on, stops it after its first trial, and goes on with it afterwards.

Run: python docs/examples/watch_events.py [STEPS]
"""

import sys

from experimenter import Experimenter


def main(steps: int = 40_000) -> None:
    agent = Experimenter("MountainCar-v0", budget_steps=steps, controls="none", memory="off", seed=0)
    run = ""
    for event in agent.stream("reach the flag"):
        run = event.run
        if event.kind == "training.finished":
            print(
                f"{event.data['design']}: true return {event.data['true_return']} at {event.data['steps']} steps"
            )
        if event.kind == "remember.finished":
            print("one trial is enough for now")
            agent.stop(run)
    print(f"the run is {agent.result(run).status}; going on")
    print(agent.resume(run).sentence)


if __name__ == "__main__":
    main(*(int(word) for word in sys.argv[1:2]))
