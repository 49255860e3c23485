"""The command line as a whole: which commands there are, and the door through which every error leaves."""

from __future__ import annotations

import logging
import sys
from collections.abc import Sequence
from typing import Annotated, Final

import typer

from experimenter.cli import envs, memory, models, reward, settings, skills
from experimenter.cli.answering import answer
from experimenter.cli.asking import budget, pause, stop, unpause
from experimenter.cli.bench import check
from experimenter.cli.doctor import doctor
from experimenter.cli.exchanges import exchanges
from experimenter.cli.failures import EXIT_CODES, failure_of, show_failure
from experimenter.cli.judge import judge
from experimenter.cli.run import resume, run
from experimenter.cli.runs import list_runs, report, show, watch
from experimenter.cli.tui import tui

__all__ = ["app", "main"]

_EPILOG: Final = "\b\nExit codes:\n" + "\n".join(f"  {code:>3}  {words}" for code, words in EXIT_CODES)

app = typer.Typer(
    name="experimenter",
    help="An agent that runs reinforcement-learning research by itself, and reports it honestly.",
    epilog=_EPILOG,
    no_args_is_help=False,
    invoke_without_command=True,
    add_completion=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110},
)
_COMMANDS: Final = (
    ("run", run),
    ("resume", resume),
    ("stop", stop),
    ("pause", pause),
    ("unpause", unpause),
    ("budget", budget),
    ("list", list_runs),
    ("show", show),
    ("watch", watch),
    ("report", report),
    ("judge", judge),
    ("exchanges", exchanges),
    ("answer", answer),
    ("doctor", doctor),
    ("tui", tui),
)
for _name, _command in _COMMANDS:
    app.command(_name)(_command)
app.add_typer(envs.app, name="envs")
app.add_typer(memory.app, name="memory")
app.add_typer(skills.app, name="skills")
app.add_typer(models.app, name="models")
app.add_typer(settings.app, name="config")
reward.app.command("check")(check)
app.add_typer(reward.app, name="reward")


def _print_version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import PackageNotFoundError, version

        try:
            print(f"experimenter {version('rl-experimenter')}")
        except PackageNotFoundError:
            print("experimenter (from source)")
        raise typer.Exit


@app.callback()
def _root(
    context: typer.Context,
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Say it, and leave.")
    ] = False,
    verbose: Annotated[bool, typer.Option("--verbose", help="More of the log, on stderr.")] = False,
) -> None:
    logging.basicConfig(stream=sys.stderr, level=logging.INFO if verbose else logging.WARNING)
    if context.invoked_subcommand is None:
        print(context.get_help())


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one command line and returns its exit code; no error leaves as a traceback."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    try:
        outcome = typer.main.get_command(app).main(
            args=words, prog_name="experimenter", standalone_mode=False
        )
    except (Exception, KeyboardInterrupt) as error:  # noqa: BLE001 - the face: every error becomes words and a code
        return show_failure(failure_of(error), as_json="--json" in words)
    return outcome if isinstance(outcome, int) else 0
