"""Two runs at once with asyncio, one of them only watched; a third is given up by a timeout, which asks it to stop.

Run: python docs/examples/async_runs.py [STEPS]
"""

import asyncio
import sys
from typing import Any

from experimenter import AsyncExperimenter


async def watched(lab: AsyncExperimenter, goal: str) -> str:
    """Follows a run by its events; whoever only watches may leave without stopping it."""
    run = ""
    async for event in lab.stream(goal):
        run = event.run
        if event.kind == "training.finished":
            print(f"{run}: {event.data['design']} reached {event.data['true_return']}")
    return (await lab.result(run)).sentence


async def main(steps: int = 20_000) -> None:
    settings: dict[str, Any] = {
        "confirm_seeds": 1,
        "designs": 2,
        "controls": "none",
        "memory": "off",
        "workers": 1,
    }
    pole = AsyncExperimenter("CartPole-v1", budget_steps=steps, **settings)
    swing = AsyncExperimenter("Acrobot-v1", budget_steps=steps, **settings)
    sentence, result = await asyncio.gather(watched(pole, "keep the pole up"), swing.run("swing up"))
    print(sentence)
    print(f"{result.run} ended because {result.why_ended}")

    long = AsyncExperimenter("CartPole-v1", budget_steps=100 * steps, **settings)
    try:
        async with asyncio.timeout(8):
            await long.run("keep the pole up for ever", name="given_up")
    except TimeoutError:
        print("given up after eight seconds; what was finished is kept")
        async for event in long.follow("given_up"):
            if event.kind == "run.stopped":
                print(f"{event.run} has stopped; resume goes on with it")


if __name__ == "__main__":
    asyncio.run(main(*(int(word) for word in sys.argv[1:2])))
