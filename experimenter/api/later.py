"""``AsyncExperimenter``: what ``Experimenter`` does, to be awaited.

A class of its own with the same method names, and no ``arun`` beside ``run``: code moves from one to the other by
``await`` alone, and nobody calls the blocking one in a coroutine because its name was shorter. What blocks (files,
SQLite, worker processes, imports) runs in threads; a run is a process of its own, and is looked at five times a second.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

from experimenter.api.lab import Experimenter
from experimenter.api.memory import LabMemory
from experimenter.api.skills import LabSkills
from experimenter.api.twins import Twin
from experimenter.errors import ExperimenterError
from experimenter.events import Event
from experimenter.loop import launch
from experimenter.loop.asking import request_stop
from experimenter.results import RunResult

__all__ = ["AsyncExperimenter", "AsyncMemory", "AsyncSkills"]

POLL: Final = 0.2


class AsyncMemory:
    """``LabMemory``, to be awaited."""

    def __init__(self, blocking: LabMemory) -> None:
        self.blocking = blocking

    search = Twin(LabMemory.search)
    items = Twin(LabMemory.items)
    lessons = Twin(LabMemory.lessons)
    testimonies = Twin(LabMemory.testimonies)
    forget = Twin(LabMemory.forget)
    export = Twin(LabMemory.export)
    load = Twin(LabMemory.load)
    reindex = Twin(LabMemory.reindex)


class AsyncSkills:
    """``LabSkills``, to be awaited. What ``policy`` gives acts at once, and is not awaited."""

    def __init__(self, blocking: LabSkills) -> None:
        self.blocking = blocking

    list = Twin(LabSkills.list)
    damaged = Twin(LabSkills.damaged)
    get = Twin(LabSkills.get)
    policy = Twin(LabSkills.policy)
    changes = Twin(LabSkills.changes)
    judge = Twin(LabSkills.judge)
    play = Twin(LabSkills.play)
    film = Twin(LabSkills.film)
    export = Twin(LabSkills.export)
    load = Twin(LabSkills.load)
    remove = Twin(LabSkills.remove)


class AsyncExperimenter:
    """Runs in one environment and one workspace, for asyncio; the arguments are those of ``Experimenter``.

    Whoever awaits ``run`` or ``resume`` owns the run: when the task is cancelled (also by ``asyncio.timeout`` or
    Ctrl-C), the run is asked to stop, keeps what is finished, and ``resume`` goes on with it. Whoever iterates over
    ``stream`` or ``follow`` only watches: leaving the loop, or being cancelled in it, leaves the run going.

        async with asyncio.TaskGroup() as tasks:
            for env in ("CartPole-v1", "Acrobot-v1"):
                tasks.create_task(AsyncExperimenter(env, workers=1).run("do it well"))
    """

    def __init__(
        self,
        env: str = "",
        *,
        kwargs: dict[str, Any] | None = None,
        judge: str | None = None,
        judge_visibility: str = "open",
        target: float | None = None,
        seed: int = 0,
        **settings: Any,
    ) -> None:
        self.blocking = Experimenter(
            env,
            kwargs=kwargs,
            judge=judge,
            judge_visibility=judge_visibility,
            target=target,
            seed=seed,
            **settings,
        )

    @property
    def workspace(self) -> Path:
        """The folder that holds the runs, absolute."""
        return self.blocking.workspace

    @property
    def memory(self) -> AsyncMemory:
        """What earlier runs in this workspace learned."""
        return AsyncMemory(self.blocking.memory)

    @property
    def skills(self) -> AsyncSkills:
        """The certified policies of this workspace."""
        return AsyncSkills(self.blocking.skills)

    card = Twin(Experimenter.card)
    start = Twin(Experimenter.start)
    prepare = Twin(Experimenter.prepare)
    raise_budget = Twin(Experimenter.raise_budget)
    result = Twin(Experimenter.result)
    runs = Twin(Experimenter.runs)
    stop = Twin(Experimenter.stop)
    judge = Twin(Experimenter.judge)
    policy = Twin(Experimenter.policy)
    report = Twin(Experimenter.report)
    explain = Twin(Experimenter.explain)
    bench = Twin(Experimenter.bench)
    exchanges = Twin(Experimenter.exchanges)
    methods = Twin(Experimenter.methods)
    finished = Twin(Experimenter.finished)

    async def run(self, goal: str, *, name: str | None = None) -> RunResult:
        """Pursues the goal to its end and returns the result. Raises what made the run fail.

        When the task is cancelled, the run is asked to stop; this does not wait until it has.
        """
        return await self._own(lambda: self.blocking.prepare(goal, name=name))

    async def resume(
        self,
        run: str,
        *,
        budget_steps: int | None = None,
        budget_seconds: float | None = None,
        budget_tokens: int | None = None,
        budget_dollars: float | None = None,
    ) -> RunResult:
        """Goes on with a run, as ``Experimenter.resume`` does. Cancelled, it asks the run to stop, as ``run`` does."""

        def again() -> str:
            self.blocking.raise_budget(
                run,
                budget_steps=budget_steps,
                budget_seconds=budget_seconds,
                budget_tokens=budget_tokens,
                budget_dollars=budget_dollars,
            )
            return run

        return await self._own(again)

    async def stream(self, goal: str, *, name: str | None = None) -> AsyncIterator[Event]:
        """The run's events while it goes on. Leaving the loop, or being cancelled in it, leaves the run going."""
        owned = _Owned(self.workspace)
        # Until the first event nobody knows the run's name, so that it would be nobody's.
        run = await owned.begin(lambda: self.blocking.prepare(goal, name=name))
        async for event in self.follow(run):
            yield event

    async def follow(self, run: str) -> AsyncIterator[Event]:
        """A run's events from its beginning to its end, whoever started it."""
        after = 0
        while True:
            seen = await asyncio.to_thread(launch.news, self.workspace, run, after)
            for event in seen.events:
                after = event.seq
                yield event
            if not seen.alive:
                return
            await asyncio.sleep(POLL)

    async def _own(self, create: Callable[[], str]) -> RunResult:
        owned = _Owned(self.workspace)
        run = await owned.begin(create)
        try:
            async for _ in self.follow(run):
                pass
        except asyncio.CancelledError:
            await owned.give_up()
            raise
        return await self.finished(run)


class _Owned:
    """A run that is begun in a thread, by a task that may be cancelled meanwhile; no thread can be."""

    def __init__(self, workspace: Path) -> None:
        self._workspace = workspace
        self._started: str | None = None
        self._given_up = threading.Event()

    async def begin(self, create: Callable[[], str]) -> str:
        """Creates and starts the run, and returns its name; when cancelled, it is not started, or asked to stop."""
        try:
            return await asyncio.to_thread(self._begin, create)
        except asyncio.CancelledError:
            await self.give_up()
            raise

    async def give_up(self) -> None:
        """Asks for a stop if the run was started; if it is just being started, the thread will ask."""
        self._given_up.set()
        if self._started is not None:
            await asyncio.shield(asyncio.to_thread(self._stop, self._started))

    def _begin(self, create: Callable[[], str]) -> str:
        run = create()
        if not self._given_up.is_set():
            launch.start(self._workspace, run)
            self._started = run
            if self._given_up.is_set():
                self._stop(run)
        return run

    def _stop(self, run: str) -> None:
        with suppress(
            ExperimenterError
        ):  # whoever is cancelled hears of the cancellation, and of nothing else
            request_stop(self._workspace, run)
