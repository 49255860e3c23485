"""What a person watches while a run goes on: a live view on a terminal, plain lines anywhere else."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from types import TracebackType
from typing import TYPE_CHECKING, Protocol, Self

from experimenter.cli.progress import Progress, RunningTraining, event_words
from experimenter.report.lines import number
from experimenter.report.text import clip

if TYPE_CHECKING:
    from rich.console import Group
    from rich.live import Live
    from rich.table import Table
    from rich.text import Text

    from experimenter.budget import Ledger
    from experimenter.events import Event
    from experimenter.records import Budget, Trial

__all__ = ["JsonLines", "LiveView", "PlainLines", "Sink", "Snapshot"]

_SHOWN_TRIALS = 8
_SHOWN_TRAININGS = 8
_LOOK_EVERY = 1.0
_BAR = 24
_WORDS = 160
_TOLD = 400  # a person who is asked must find the file to answer in


class Sink(Protocol):
    """Takes a run's events, in order, between ``with`` and its end."""

    def __enter__(self) -> Self: ...
    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...
    def event(self, event: Event) -> None: ...


class _Plain:
    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        return None


class JsonLines(_Plain):
    """Every event as one line of JSON on stdout."""

    def event(self, event: Event) -> None:
        from experimenter.cli.console import print_json_line

        print_json_line(event)


class PlainLines(_Plain):
    """Events worth a line, on stderr, for logs and pipes."""

    def event(self, event: Event) -> None:
        from experimenter.cli.console import say

        words = event_words(event.kind, event.data)
        if words:
            say(words)


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What the journal holds at this moment."""

    trials: Sequence[Trial]
    ledger: Ledger
    budget: Budget


@dataclass
class LiveView:
    """The live view on stderr. ``look`` reads the journal; it is asked at most once a second."""

    look: Callable[[], Snapshot]
    progress: Progress = field(default_factory=Progress)
    _live: Live | None = None
    _seen: Snapshot | None = None
    _looked: float = 0.0
    _began: float = field(default_factory=time.monotonic)

    def __enter__(self) -> Self:
        from rich.live import Live

        from experimenter.cli.console import side

        self._refresh()
        self._live = Live(console=side(), get_renderable=self.picture, refresh_per_second=4, transient=True)
        self._live.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._live is not None:
            self._live.__exit__(kind, error, trace)

    def event(self, event: Event) -> None:
        self.progress.fold(event.kind, event.step, event.data, event.at)
        ended = event.kind.endswith((".finished", ".answered"))
        if ended or time.monotonic() - self._looked >= _LOOK_EVERY:
            self._refresh()

    def _refresh(self) -> None:
        self._seen, self._looked = self.look(), time.monotonic()

    def picture(self) -> Group:
        """What is on the screen now."""
        from rich.console import Group

        from experimenter.cli.tables import trials_table

        parts: list[Text | Table] = [self._status()]
        if self._seen is not None and self._seen.trials:
            parts.append(trials_table(self._seen.trials[-_SHOWN_TRIALS:]))
        if self.progress.trainings:
            parts.append(_bars(list(self.progress.trainings.values())))
        return Group(*parts)

    def _status(self) -> Text:
        from rich.text import Text

        from experimenter.cli.tables import spent_words
        from experimenter.report.lines import duration

        text = Text(f"{self.progress.stop:<9}", style="bold cyan")
        text.append(f" {duration(time.monotonic() - self._began)}", style="dim")
        if self._seen is not None:
            text.append(f" · {spent_words(self._seen.ledger, self._seen.budget)}", style="not bold")
        waiting = self.progress.waiting
        if waiting is not None:
            text.append(f"\n{waiting.words(datetime.now(UTC))}", style="not bold yellow")
        if self.progress.words:
            text.append(f"\n{clip(self.progress.words, _WORDS if waiting is None else _TOLD)}", style="dim")
        return text


def _bars(trainings: Sequence[RunningTraining]) -> Table:
    from rich.progress_bar import ProgressBar
    from rich.table import Table

    grid = Table.grid(padding=(0, 2))
    for column in ("left", "left", "right", "right"):
        grid.add_column(justify="right" if column == "right" else "left", no_wrap=True)
    for one in trainings[:_SHOWN_TRAININGS]:
        bar = ProgressBar(total=max(one.until, 1), completed=one.steps, width=_BAR)
        steps = f"{number(one.steps)} / {number(one.until)} steps"
        score = "" if one.true_return is None else f"true return {number(one.true_return)}"
        grid.add_row(clip(one.label, 44), bar, steps, score)
    return grid
