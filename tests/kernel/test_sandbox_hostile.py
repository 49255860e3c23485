"""Hostile reward programs, each run only in the contained worker: with every layer, and without the static check.

The files in ``hostile/`` attack a canary of this test's own: a key, a victim file, a drop folder, two listeners.
``CANARY`` and ``PORT`` in them are replaced. Unchecked, a program gets Python's real builtins, imports and numpy.
"""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import psutil
import pytest

from experimenter.errors import ProgramRejected
from experimenter.sandbox.level import containment
from experimenter.sandbox.preflight import preflight
from experimenter.sandbox.program import ContainedProgram
from experimenter.sandbox.supervisor import Bounds

FOLDER = Path(__file__).parent / "hostile"
TOKEN = "CANARY-TOKEN-5f1d"
SMALL = Bounds(memory_bytes=1 << 28, output_bytes=1 << 14, scratch_files=16)
DEADLINE = 0.6
CALLS = 6
# What may run to its end because the attack's effect stays in the worker, and what the worker may not get away with.
MUST_FAIL = {
    "51_memory_leak", "53_loop_at_step", "55_swallow_timeouts", "57_regex_bomb", "59_system_exit",
    "49_memory_bomb", "65_raise_rlimits", "67_print_flood", "71_inf_reward", "73_wrong_type", "75_returns_none",
    "77_raise_at_10000", "79_hidden_state", "81_slow_reward", "83_mutate_next_obs", "91_forge_garbage",
    "35_inode_flood", "45_subprocess_daemon", "27_write_outside", "29_memmap_victim", "01_read_ssh_key",
    "47_kill_parent", "37_tcp_loopback", "39_unix_socket", "93_parser_bomb",
}  # fmt: skip

pytestmark = pytest.mark.skipif(containment().level != "full", reason="needs Landlock and seccomp")


def parser_bomb() -> str:
    nested = "(" * 50 + "1" + ")" * 50
    lines = [f"X = {nested}", "y = " + "+".join(["1"] * 30_000), "z = " + "not " * 3_000 + "1"]
    return "\n".join([*lines, "def reward(t):", "    return {'near': t.obs[:, 0]}"])


PROGRAMS = {path.stem: path.read_text() for path in sorted(FOLDER.glob("*.txt"))} | {
    "93_parser_bomb": parser_bomb()
}


@dataclass
class Canary:
    """What the programs are after, and who came to the listeners."""

    root: Path
    port: int
    visitors: list[str] = field(default_factory=list)

    def arm(self, source: str) -> str:
        return source.replace("CANARY", str(self.root)).replace("PORT", str(self.port))

    def untouched(self) -> bool:
        victim = (self.root / "victim.txt").read_text() == "victim"
        return victim and not any((self.root / "drop").iterdir()) and not self.visitors


def _listen(canary: Canary, listener: socket.socket, name: str) -> None:
    while True:
        try:
            listener.accept()[0].close()
        except OSError:
            return
        canary.visitors.append(name)


@pytest.fixture
def canary(tmp_path: Path) -> Iterator[Canary]:
    (tmp_path / "home/.ssh").mkdir(parents=True)
    (tmp_path / "home/.ssh/id_rsa").write_text(TOKEN)
    (tmp_path / "drop").mkdir()
    (tmp_path / "victim.txt").write_text("victim")
    tcp = socket.create_server(("127.0.0.1", 0))
    unix = socket.socket(socket.AF_UNIX)
    unix.bind(str(tmp_path / "agent.sock"))
    unix.listen()
    held = Canary(tmp_path, tcp.getsockname()[1])
    for listener, name in ((tcp, "tcp"), (unix, "unix")):
        threading.Thread(target=_listen, args=(held, listener, name), daemon=True).start()
    yield held
    for listener in (tcp, unix):
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()


def batch(count: int = 256) -> dict[str, object]:
    rng = np.random.default_rng(3)
    return {
        "obs": rng.normal(size=(count, 4)).astype(np.float32),
        "next_obs": rng.normal(size=(count, 4)).astype(np.float32),
        "action": rng.normal(size=(count, 2)).astype(np.float32),
        "terminated": rng.random(count) < 0.1,
        "gamma": 0.99,
    }


def attempt(source: str, *, checked: bool) -> ProgramRejected | dict[str, np.ndarray]:
    """Pre-flight and some calls; the last result, or the refusal."""
    given = batch()
    try:
        with ContainedProgram(source, deadline=DEADLINE, bounds=SMALL, _checked=checked) as program:
            preflight(program, given)
            for _ in range(CALLS):
                result = program.call(given)
            return result
    except ProgramRejected as rejected:
        return rejected


def sessions_left(before: set[int]) -> list[psutil.Process]:
    return [child for child in psutil.Process().children(recursive=True) if child.pid not in before]


@pytest.mark.parametrize("checked", [True, False], ids=["all-layers", "kernel-only"])
@pytest.mark.parametrize("name", [name for name in PROGRAMS if name != "00_control"])
def test_hostile_program_harms_nothing(name, checked, canary):
    before = {child.pid for child in psutil.Process().children(recursive=True)}
    started = time.monotonic()
    outcome = attempt(canary.arm(PROGRAMS[name]), checked=checked)
    assert time.monotonic() - started < 20
    assert canary.untouched()
    assert TOKEN not in str(outcome)
    assert sessions_left(before) == []
    if checked or name in MUST_FAIL:
        assert isinstance(outcome, ProgramRejected), outcome
        assert outcome.layer in {"static", "contract", "limits", "preflight"}
    else:
        assert isinstance(outcome, ProgramRejected) or np.isfinite(outcome["near"]).all()


@pytest.mark.parametrize("checked", [True, False], ids=["all-layers", "kernel-only"])
def test_control_succeeds(checked):
    outcome = attempt(PROGRAMS["00_control"], checked=checked)
    assert isinstance(outcome, dict), outcome
    distance = np.linalg.norm(np.asarray(batch()["next_obs"])[:, :2], axis=1)
    np.testing.assert_allclose(outcome["dist"], -distance, rtol=1e-6)


@pytest.mark.parametrize("name", ["85_patch_env_class", "87_frame_locals", "89_patch_builtins"])
def test_tampering_stays_in_the_worker(name, canary):
    outcome = attempt(canary.arm(PROGRAMS[name]), checked=False)
    assert np.mean([1.0, 3.0]) == 2.0
    assert ContainedProgram.call.__name__ == "call"
    if isinstance(outcome, dict):
        x = np.asarray(batch()["next_obs"])
        truth = 0.1 * x[:, 0] if name.startswith("87") else -np.hypot(x[:, 0], x[:, 1])
        np.testing.assert_allclose(outcome["near"], truth, rtol=1e-5)


def test_a_write_into_the_batch_does_not_reach_the_trainer():
    given = batch()
    kept = np.array(given["next_obs"])
    source = PROGRAMS["83_mutate_next_obs"]
    with (
        pytest.raises(ProgramRejected, match="read-only"),
        ContainedProgram(source, deadline=DEADLINE, bounds=SMALL) as program,
    ):
        program.call(given)
    np.testing.assert_array_equal(given["next_obs"], kept)
