"""Pre-flight: programs that look at other rows, keep state, never vary or take too long are found out."""

from __future__ import annotations

import numpy as np
import pytest

from experimenter.errors import ProgramRejected
from experimenter.sandbox.preflight import PreflightReport, preflight
from experimenter.sandbox.program import ContainedProgram


def batch(count: int = 200) -> dict[str, object]:
    rng = np.random.default_rng(5)
    return {
        "now.x": rng.normal(size=count).astype(np.float32),
        "next.x": rng.normal(size=count).astype(np.float32),
        "obs": rng.normal(size=(count, 3)).astype(np.float32),
        "terminated": rng.random(count) < 0.1,
    }


def check(source: str) -> PreflightReport:
    with ContainedProgram(f"{source}\n", deadline=2.0) as program:
        return preflight(program, batch())


def returning(expression: str) -> str:
    return f"def reward(t):\n    return {{'a': {expression}}}"


def test_statistics_of_components():
    source = (
        "def reward(t):\n"
        "    return {'a': 3.0 * np.sign(t.next.x), 'b': np.ones_like(t.next.x), 'dead': 0.0 * t.next.x, "
        "'rare': 1.0 * (t.next.x > 1.0)}"
    )
    report = check(source)
    a, b, dead, rare = report.components
    assert [c.name for c in report.components] == ["a", "b", "dead", "rare"]
    assert (a.minimum, a.maximum, a.constant, a.dead) == (-3.0, 3.0, False, False)
    assert b.constant and not b.dead
    assert dead.constant and dead.dead and dead.share == 0.0
    assert a.share > b.share > rare.share > 0.0
    assert sum(c.share for c in report.components) == pytest.approx(1.0)
    assert 0.0 < report.seconds_per_transition < 1e-3


@pytest.mark.parametrize(
    "expression",
    [
        "t.next.x - t.next.x.mean()",
        "t.next.x / np.abs(t.next.x).max()",
        "np.cumsum(t.next.x)",
        "np.sort(t.next.x)",
        "np.flip(t.next.x)",
        "np.take(t.next.x, 0) + t.next.x",
        "1.0 * np.arange(len(t.next.x))",
        "t.next.x * len(t.next.x)",
        "np.argsort(np.argsort(t.next.x)) * 1.0",
        "np.where(np.any(t.terminated), t.next.x, 0.0)",
    ],
)
def test_a_look_at_other_rows_is_found(expression):
    with pytest.raises(ProgramRejected) as caught:
        check(returning(expression))
    assert caught.value.layer == "preflight"


@pytest.mark.parametrize(
    "expression",
    [
        "t.obs.mean(axis=1)",
        "np.linalg.norm(t.obs, axis=1)",
        "np.exp(-np.abs(t.next.x - t.now.x))",
        "1.0 * t.terminated",
    ],
)
def test_row_wise_programs_pass(expression):
    assert check(returning(expression)).components[0].share == 1.0


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ("calls = []\ndef reward(t):\n    calls.append(1)\n    return {'a': t.next.x * len(calls)}", "state"),
        (returning("np.ones_like(t.next.x)"), "constant"),
        (returning("0.0 * t.next.x"), "constant"),
        (
            "def reward(t):\n    for i in range(20_000_000):\n        x = i\n    return {'a': t.next.x}",
            "loops",
        ),
    ],
)
def test_state_constants_and_slowness(source, words):
    with pytest.raises(ProgramRejected) as caught:
        check(source)
    assert caught.value.layer == "preflight"
    assert words in str(caught.value)
