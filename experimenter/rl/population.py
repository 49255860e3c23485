"""Many small trainings at the price of a few: members driven side by side in one process.

Members may differ in everything but what their batches must share; those that want a like rollout at the same time get
it together, all others alone. A member that fails ends by itself with its error, and the others go on.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

from experimenter.errors import ExperimenterError
from experimenter.records import Training
from experimenter.rl.course import Elsewhere
from experimenter.rl.job import TrainJob
from experimenter.rl.rollout import Experience, Wanted
from experimenter.rl.together import Joints, likeness, together
from experimenter.rl.training import Member

__all__ = ["MOST_ROWS", "Ended", "MemberProgress", "train_population"]

MemberProgress = Callable[[str, dict[str, Any]], None]
# Beyond this many rows a batch no longer fits the second-level cache, and gains nothing.
MOST_ROWS: Final = 1024


@dataclass(frozen=True, slots=True)
class Ended:
    """One member's end: its result, or what it failed with."""

    step: str
    training: Training | None = None
    error: ExperimenterError | None = None


def train_population(jobs: Sequence[TrainJob], progress: MemberProgress) -> tuple[Ended, ...]:
    """Trains every job as ``train`` would, to the bit, in the order of ``jobs``; ``progress`` hears whose it is.

    Raises nothing that is one member's fault: that is in its ``Ended``.
    """
    with ExitStack() as stack:
        return _Population(jobs, progress, stack).run()


class _Population:
    def __init__(self, jobs: Sequence[TrainJob], progress: MemberProgress, stack: ExitStack) -> None:
        self._jobs, self._progress = jobs, progress
        self._stacks = [stack.enter_context(ExitStack()) for _ in jobs]
        self._joints = Joints()
        stack.callback(self._joints.close)
        self._members: dict[int, Member] = {}
        self._waiting: dict[int, Wanted] = {}
        self._elsewhere: list[int] = []
        self._ended: dict[int, Ended] = {}

    def run(self) -> tuple[Ended, ...]:
        for index in range(len(self._jobs)):
            self._step(index, partial(self._begin, index))
        while self._waiting or self._elsewhere:
            self._come_back()
            for group in self._groups():
                self._serve(group)
        return tuple(self._ended[index] for index in range(len(self._jobs)))

    def _begin(self, index: int) -> Wanted | Elsewhere:
        job = self._jobs[index]
        self._members[index] = Member(job, partial(self._progress, job.step), self._stacks[index])
        return self._members[index].go_on()

    def _come_back(self) -> None:
        """Members whose reward program was at work meanwhile take its answer."""
        waiting, self._elsewhere = self._elsewhere, []
        for index in waiting:
            self._step(index, self._members[index].go_on)

    def _groups(self) -> list[list[int]]:
        """Who is served together, everyone who waits once."""
        groups: dict[Any, list[int]] = {}
        for index, wanted in self._waiting.items():
            like = likeness(wanted)
            groups.setdefault(index if like is None else like, []).append(index)
        return [part for group in groups.values() for part in self._parts(group)]

    def _parts(self, group: list[int]) -> list[list[int]]:
        rows = self._waiting[group[0]].collector.vector.num_envs
        most = max(1, MOST_ROWS // rows)
        return [group[start : start + most] for start in range(0, len(group), most)]

    def _serve(self, group: list[int]) -> None:
        """Collects what the members of ``group`` wait for, and lets each learn from it."""
        wanted = [self._waiting.pop(index) for index in group]
        began = time.monotonic()
        experiences = self._together(wanted) if len(group) > 1 else None
        share = (time.monotonic() - began) / len(group)
        for place, (index, one) in enumerate(zip(group, wanted, strict=True)):
            made = one.collect if experiences is None else partial(experiences.__getitem__, place)
            self._members[index].watch.add(share)
            self._step(index, partial(self._members[index].go_on, made))

    def _together(self, wanted: Sequence[Wanted]) -> list[Experience] | None:
        """``None`` where something failed: alone, each finds out for itself whether it was the cause."""
        try:
            return together(wanted, self._joints.of(wanted))
        except ExperimenterError:
            return None

    def _step(self, index: int, go_on: Callable[[], Wanted | Elsewhere]) -> None:
        step = self._jobs[index].step
        try:
            wanted = go_on()
            if isinstance(wanted, Wanted):
                self._waiting[index] = wanted
            else:
                self._elsewhere.append(index)
            return
        except StopIteration as end:
            self._ended[index] = self._closed(index, Ended(step, training=end.value))
        except ExperimenterError as error:
            self._ended[index] = self._closed(index, Ended(step, error=error))

    def _closed(self, index: int, ended: Ended) -> Ended:
        """Closes the member's environments; one that cannot even be closed has failed."""
        self._members.pop(index, None)
        try:
            self._stacks[index].close()
        except ExperimenterError as error:
            return Ended(ended.step, error=ended.error or error)
        return ended
