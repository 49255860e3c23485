"""The Textual application: runs, one run's trials and events, and what it has spent.

Everything slow happens in worker threads, which touch no widget: they post what they found, in the past tense.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import ClassVar, Final

from rich.text import Text
from textual.app import App, ComposeResult
from textual.binding import Binding, BindingType
from textual.message import Message
from textual.widgets import DataTable, Footer, Header, RichLog, Static

from experimenter.cli.waiting import Waiting
from experimenter.errors import ExperimenterError
from experimenter.loop.asking import Kind, ask
from experimenter.report.text import safe_text
from experimenter_tui.reading import RUN_COLUMNS, TRIAL_COLUMNS, View, read_view

__all__ = ["ExperimenterApp"]

_EVERY_SECONDS: Final = 1.0
_HELP: Final = (
    "enter: show the run · p: let it wait · u: let it go on · s: ask it to stop · r: write its report"
    " · q: quit, runs go on"
)


class ViewRead(Message):
    """A worker read the workspace."""

    def __init__(self, view: View) -> None:
        super().__init__()
        self.view = view


class WorkEnded(Message):
    """A worker finished what it was asked to do, or failed; ``words`` says which."""

    def __init__(self, words: str, *, failed: bool = False) -> None:
        super().__init__()
        self.words = words
        self.failed = failed


class ExperimenterApp(App[None]):
    """A face on the workspace in ``root``. It reads, and writes only commands."""

    contract: ClassVar[int] = 1
    TITLE = "experimenter"
    CSS = """
    #runs { height: 1fr; min-height: 5; }
    #trials { height: 1fr; min-height: 5; }
    #log { height: 2fr; border-top: solid $primary; padding: 0 1; }
    #spent { height: 1; padding: 0 1; background: $boost; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("q", "quit", "quit"),
        Binding("p", "ask('pause')", "pause"),
        Binding("u", "ask('resume')", "unpause"),
        Binding("s", "ask('stop')", "stop"),
        Binding("r", "report", "report"),
        Binding("question_mark", "help", "help", key_display="?"),
    ]

    def __init__(self, root: Path) -> None:
        super().__init__()
        self.root = root
        self.shown: str | None = None
        self._after = 0
        self._waiting: Waiting | None = None
        self._reading = False

    def compose(self) -> ComposeResult:
        yield Header()
        yield DataTable[Text](id="runs", cursor_type="row", zebra_stripes=True)
        yield DataTable[Text](id="trials", cursor_type="row", zebra_stripes=True)
        yield RichLog(id="log", markup=False, highlight=False, wrap=True, max_lines=5000)
        yield Static("", id="spent", markup=False)
        yield Footer()

    def on_mount(self) -> None:
        self._table("runs").add_columns(*RUN_COLUMNS)
        self._table("trials").add_columns(*TRIAL_COLUMNS)
        self._table("runs").focus()
        self.set_interval(_EVERY_SECONDS, self._look)
        self._look()

    def _table(self, name: str) -> DataTable[Text]:
        return self.query_one(f"#{name}", DataTable)

    def _look(self) -> None:
        if not self._reading:
            self._reading = True
            shown, after, waiting = self.shown, self._after, self._waiting
            self._in_thread(lambda: ViewRead(read_view(self.root, shown, after, waiting)))

    def _in_thread(self, work: Callable[[], Message]) -> None:
        """Runs ``work`` in a thread, which posts its message, or the error's words."""

        def guarded() -> None:
            try:
                self.post_message(work())
            except (ExperimenterError, OSError) as error:
                self.post_message(WorkEnded(str(error), failed=True))

        self.run_worker(guarded, thread=True)

    def on_view_read(self, message: ViewRead) -> None:
        self._reading = False
        view = message.view
        if self.shown not in (None, view.shown):
            self._look()  # read for the run that was in view before
            return
        self.shown, self._after, self._waiting = view.shown, view.after, view.waiting
        _fill(self._table("runs"), view.runs)
        _fill(self._table("trials"), view.trials)
        for line in view.lines:
            self.query_one(RichLog).write(line)
        self.query_one("#spent", Static).update(f"{view.shown or ''}  {view.spent}")

    def on_work_ended(self, message: WorkEnded) -> None:
        self._reading = False
        self.notify(
            safe_text(message.words), severity="error" if message.failed else "information", markup=False
        )

    def on_data_table_row_selected(self, event: DataTable.RowSelected) -> None:
        chosen = event.row_key.value
        if event.data_table.id == "runs" and chosen is not None and chosen != self.shown:
            self.shown, self._after, self._waiting = chosen, 0, None
            self.query_one(RichLog).clear()
            self._look()

    def action_ask(self, kind: Kind) -> None:
        if (run := self.shown) is not None:
            self._in_thread(lambda: WorkEnded(ask(self.root, run, kind).words))

    def action_report(self) -> None:
        if (run := self.shown) is not None:
            self._in_thread(lambda: _write_report(self.root, run))

    def action_help(self) -> None:
        self.notify(_HELP, title="keys", markup=False, timeout=10)


def _fill(table: DataTable[Text], rows: Sequence[Sequence[str]]) -> None:
    """Replaces the rows where they changed, and keeps the cursor on its row."""
    shown = [[str(cell) for cell in table.get_row_at(index)] for index in range(table.row_count)]
    if shown == [list(row) for row in rows]:
        return
    place = table.cursor_row
    table.clear()
    for row in rows:
        table.add_row(*(Text(cell) for cell in row), key=row[0])
    table.move_cursor(row=min(place, max(0, len(rows) - 1)))


def _write_report(root: Path, run: str) -> Message:
    from experimenter.report import write_report
    from experimenter.workspace.store import Workspace

    with Workspace.open(root) as store:
        path = write_report(store, run)
    return WorkEnded(str(path))
