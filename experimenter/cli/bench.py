"""``experimenter reward check``: anyone's reward program through every gate, a short training, and the judge."""

from __future__ import annotations

import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from experimenter.cli.choices import AllowUnsandboxed, Env, Judge
from experimenter.cli.options import AsJson, Seed, SetValues, parse_set, resolve
from experimenter.errors import ContainmentError, Stopped, UsageError

if TYPE_CHECKING:
    from experimenter.config import Settings
    from experimenter.loop.benched import Bench

__all__ = ["check", "stoppable"]

File = Annotated[
    Path | None, typer.Argument(metavar="FILE", help="A Python file with def reward(t).", show_default=False)
]
Steps = Annotated[
    int, typer.Option(min=0, max=10_000_000, help="Learning steps of each training; 0: the gates only.")
]
Seeds = Annotated[
    int, typer.Option(min=1, max=100, help="Trainings with the program; under 5 no comparison is made.")
]
NoNative = Annotated[bool, typer.Option("--no-native", help="Do not train the native reward beside it.")]
Features = Annotated[
    bool, typer.Option("--features", help="List what a program may read in this environment, and leave.")
]


def check(
    file: File = None,
    *,
    env: Env,
    set_: SetValues = None,
    judge: Judge = None,
    steps: Steps = 20_000,
    seeds: Seeds = 2,
    seed: Seed = 0,
    no_native: NoNative = False,
    features: Features = False,
    allow_unsandboxed: AllowUnsandboxed = False,
    as_json: AsJson = False,
) -> int:
    """Check a reward program: every gate, a short contained training, the judge's scores. Nothing is kept.

    Exit codes: 0 accepted; 1 refused by a gate; 2 no such file, environment or option; 3 the environment is at
    fault; 4 generated code cannot be contained here.
    """
    kwargs, settings = parse_set(set_), resolve(allow_unsandboxed=allow_unsandboxed or None)
    if features:
        _list_features(env, kwargs, judge, seed, settings, as_json)
        return 0
    if file is None:
        raise UsageError(
            "There is no FILE to check.", "Name a Python file with def reward(t), or ask for --features."
        )
    found = _bench(
        file, env, kwargs, settings, judge=judge, steps=steps, training_seeds=seeds, seed=seed, native=not no_native
    )  # fmt: skip
    _show(found, as_json)
    if found.refused_by == "containment":
        return ContainmentError.exit_code
    return 0 if found.accepted else 1


def _bench(file: Path, env: str, kwargs: dict[str, Any], settings: Settings, **choices: Any) -> Bench:
    from experimenter.loop.bench import bench_file

    with stoppable(_stopped), _progress() as say:
        return bench_file(file, env, kwargs, settings=settings, say=say, **choices)


def _stopped() -> Stopped:
    return Stopped("stopped on request", "A check keeps nothing: run it again when you like.")


@contextmanager
def stoppable(told: Callable[[], Stopped]) -> Iterator[None]:
    """Ctrl-C and SIGTERM both end a check in order: its workers and its temporary folder go with it.

    ``told`` makes what is said then.
    """

    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    except KeyboardInterrupt:
        raise told() from None
    finally:
        signal.signal(signal.SIGTERM, before)


@contextmanager
def _progress() -> Iterator[Callable[[str, float | None], None]]:
    """On a terminal a line that moves, else one line on stderr for each thing that begins."""
    from experimenter.cli.console import say, side
    from experimenter.report.lines import percent

    if sys.stderr.isatty():
        with side().status("starting") as status:
            yield lambda words, done: status.update(words if done is None else f"{words} · {percent(done)}")
        return
    last = ""

    def tell(words: str, _: float | None) -> None:
        nonlocal last
        if words != last:
            last = words
            say(words)

    yield tell


def _show(found: Bench, as_json: bool) -> None:
    from experimenter.cli.benched import view
    from experimenter.cli.console import print_json, screen

    if as_json:
        print_json(found.model_dump(mode="json"))
        return
    out = screen()
    for part in view(found):
        out.print(part)


def _list_features(
    env: str, kwargs: dict[str, Any], judge: str | None, seed: int, settings: Settings, as_json: bool
) -> None:
    from experimenter.cli.benched import features_view
    from experimenter.cli.console import print_json, screen
    from experimenter.loop.preparation import look_at
    from experimenter.sandbox.vocabulary import FIELDS

    with stoppable(_stopped), _progress() as say:
        say("measuring the environment", None)
        card = look_at(
            env, kwargs, judge=judge, steps=settings.card_steps, seed=seed, silence=settings.silence_seconds
        )
    if as_json:
        told = [one.model_dump(mode="json", exclude={"source"}) for one in card.features]
        print_json({"environment": card.spec.id, "fields": sorted(FIELDS), "features": told})
        return
    out = screen()
    for part in features_view(card):
        out.print(part)
