"""A worker process: does one job after another for the runner that started it, and ends with it.

Run as ``python -m experimenter.execution.worker ROLE``. A role is a closed list of job kinds, so that the judge's
process can never be asked to do anything but judge.
"""

from __future__ import annotations

import importlib
import os
import sys
import time
import traceback
from collections.abc import Callable
from typing import Any, Final

from experimenter.errors import ExperimenterError, UsageError
from experimenter.execution.messages import Inbox, pack, write_all

ROLES: Final[dict[str, dict[str, str]]] = {
    "train": {
        "train": "experimenter.execution.jobs:train_job",
        "population": "experimenter.execution.jobs:population_job",
        "probe": "experimenter.execution.jobs:probe_job",
        "inspect": "experimenter.execution.benching:inspect_program",
        "check_test": "experimenter.execution.jobs:check_test_job",
        "apply_test": "experimenter.execution.jobs:apply_test_job",
    },
    "judge": {"judge": "experimenter.judge.job:judge_job"},
    "card": {
        "card": "experimenter.execution.jobs:card_job",
        "vector": "experimenter.execution.jobs:vector_job",
        "fingerprint": "experimenter.execution.jobs:fingerprint_job",
    },
    "film": {
        "film": "experimenter.execution.jobs:film_job",
        "play": "experimenter.execution.jobs:play_job",
        "observe": "experimenter.execution.jobs:observe_job",
        "record": "experimenter.execution.jobs:record_job",
    },
}
PROGRESS_SECONDS: Final = 1.0
Progress = Callable[[dict[str, Any]], None]


def main() -> None:
    role = sys.argv[1] if len(sys.argv) > 1 else ""
    if role not in ROLES:
        raise SystemExit(f"usage: python -m experimenter.execution.worker {'|'.join(ROLES)}")
    _end_with_parent()
    wire_in, wire_out = _claim_wire()
    inbox = Inbox()
    while data := os.read(wire_in, 1 << 16):
        for message in inbox.feed(data):
            write_all(wire_out, pack(_timed(role, message, wire_out)))


def _end_with_parent() -> None:
    from experimenter.sandbox.limits import die_with_parent

    die_with_parent()


def _claim_wire() -> tuple[int, int]:
    """Moves the pipes away from 0 and 1, so that an environment that prints or reads cannot touch them."""
    wire_in, wire_out = os.dup(0), os.dup(1)
    silent = os.open(os.devnull, os.O_RDWR)
    os.dup2(silent, 0)
    os.dup2(2, 1)
    os.close(silent)
    return wire_in, wire_out


def _timed(role: str, message: dict[str, Any], wire_out: int) -> dict[str, Any]:
    began = time.monotonic()
    result = _do(role, message, wire_out)
    return {**result, "began": began, "ended": time.monotonic()}


def _do(role: str, message: dict[str, Any], wire_out: int) -> dict[str, Any]:
    job = str(message["id"])
    try:
        function = _function(role, str(message["kind"]))
        value = function(message["payload"], _reporter(job, wire_out))
        return {"id": job, "ok": True, "value": value}
    except ExperimenterError as error:
        return _failure(job, type(error).__name__, error.message, error.hint)
    except Exception as error:  # noqa: BLE001  the border: a stranger's environment may raise anything
        traceback.print_exc()
        words = f"{type(error).__name__}: {error}"
        return _failure(job, "TrainingFault", f"The worker failed with {words}"[:2000], "")


def _failure(job: str, name: str, message: str, hint: str) -> dict[str, Any]:
    return {"id": job, "ok": False, "error": name, "message": message, "hint": hint}


def _function(role: str, kind: str) -> Callable[[dict[str, Any], Progress], dict[str, Any]]:
    if kind not in ROLES[role]:
        raise UsageError(f"A {role} worker does not do {kind!r}.")
    module, _, name = ROLES[role][kind].partition(":")
    function: Callable[[dict[str, Any], Progress], dict[str, Any]] = getattr(
        importlib.import_module(module), name
    )
    return function


def _reporter(job: str, wire_out: int) -> Progress:
    """Sends progress at most once a second, of each member where there are several, which is also the sign of life
    that the executor listens for."""
    last: dict[Any, float] = {}

    def report(data: dict[str, Any]) -> None:
        now, member = time.monotonic(), data.get("member")
        if now - last.get(member, 0.0) >= PROGRESS_SECONDS:
            last[member] = now
            write_all(wire_out, pack({"id": job, "progress": data}))

    return report


if __name__ == "__main__":
    try:
        main()
    except (KeyboardInterrupt, BrokenPipeError):
        os._exit(1)
