"""Records: frozen, closed, versioned; and true and shaped returns that no type checker lets meet."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import BaseModel, ValidationError
from workspace_samples import design, lesson, run_record, skill, trial

from experimenter import budget, events, questions, records, results
from experimenter.config import Settings
from experimenter.contracts import Job, JobResult, RunView
from experimenter.envs import records as env_records
from experimenter.records import Design, EnvSpec, Phase, PolicyRef, Record, TrueReturn, WeightedEnv
from experimenter.workspace.records import Command, RunRecord

REPOSITORY = Path(__file__).resolve().parent.parent.parent
SAMPLES: tuple[Record, ...] = (
    design(),
    lesson(),
    run_record(),
    skill(),
    trial(),
    Settings(),
    budget.Ledger(env_steps=3),
    events.NewEvent(kind="note"),
)


def every_record() -> list[type[Record]]:
    modules = (records, budget, events, questions, results, env_records)
    found = {item for module in modules for item in vars(module).values() if isinstance(item, type)}
    kinds = {item for item in found if issubclass(item, Record)} | {
        Settings,
        Job,
        JobResult,
        RunView,
        RunRecord,
        Command,
    }
    return sorted(kinds, key=lambda kind: kind.__name__)


@pytest.mark.parametrize("kind", every_record(), ids=lambda kind: kind.__name__)
def test_every_record_is_frozen_closed_versioned_and_without_nan(kind: type[BaseModel]) -> None:
    config = kind.model_config
    assert config.get("frozen") and config.get("extra") == "forbid" and config.get("allow_inf_nan") is False
    assert kind.model_fields["v"].default == 1


@pytest.mark.parametrize("record", SAMPLES, ids=lambda record: type(record).__name__)
def test_records_come_back_and_refuse_other_versions_and_fields(record: Record) -> None:
    kind, plain = type(record), record.model_dump(mode="json")
    assert kind.model_validate(plain) == kind.model_validate_json(record.model_dump_json()) == record
    for changed in ({**plain, "v": 2}, {**plain, "surprise": 1}):
        with pytest.raises(ValidationError):
            kind.model_validate(changed)
    with pytest.raises(ValidationError, match="frozen"):
        record.v = 1  # type: ignore[misc]


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_no_nan_gets_in(bad: float) -> None:
    with pytest.raises(ValidationError):
        budget.Ledger(seconds=bad)
    with pytest.raises(ValidationError):
        records.CurvePoint(steps=1, true_return=TrueReturn(bad))


def phases(steps: list[int]) -> tuple[Phase, ...]:
    spec = WeightedEnv(environment=EnvSpec(id="X-v0"))
    return tuple(Phase(environments=(spec,), steps=count) for count in steps)


@settings(max_examples=60)
@given(st.lists(st.integers(1, 10**6), min_size=1, max_size=5), st.integers(10, 10**7))
def test_a_stretched_design_has_the_steps_asked_for(lengths: list[int], total: int) -> None:
    stretched = Design(name="d", phases=phases(lengths)).with_steps(total)
    assert all(phase.steps >= 1 for phase in stretched.phases)
    assert abs(stretched.steps - total) <= len(lengths)
    assert len(stretched.phases) == len(lengths)


def test_a_designs_hash_leaves_out_name_and_seeds_only() -> None:
    one = design()
    assert one.model_copy(update={"name": "other", "seeds": (1, 2), "origin": "llm"}).hash == one.hash
    start = PolicyRef(path="p", hash="h", lineage_steps=5)
    for change in ({"phases": phases([7])}, {"start": start}, {"algorithm": "dqn"}):
        assert one.model_copy(update=change).hash != one.hash
    assert one.model_copy(update={"start": start}).lineage_steps == 5


SNIPPET = """
from experimenter.records import CurvePoint, ShapedReturn, TrueReturn


def judged(score: TrueReturn) -> None: ...


shaped, true = ShapedReturn(1.0), TrueReturn(1.0)
judged(true)
CurvePoint(steps=1, true_return=true, shaped_return=shaped)
judged(shaped)  # wrong
judged(1.0)  # wrong
CurvePoint(steps=1, true_return=shaped)  # wrong
CurvePoint(steps=1, shaped_return=true)  # wrong
scores: tuple[TrueReturn, ...] = (true, shaped)  # wrong
"""


def test_mixing_true_and_shaped_returns_is_a_type_error(tmp_path: Path) -> None:
    path = tmp_path / "mixing.py"
    path.write_text(SNIPPET)
    wrong = {number for number, line in enumerate(SNIPPET.splitlines(), 1) if line.endswith("# wrong")}
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "mypy",
            "--strict",
            "--follow-imports",
            "silent",
            "--no-error-summary",
            str(path),
        ],
        capture_output=True,
        text=True,
        cwd=REPOSITORY,
        timeout=200,
        check=False,
    )
    # By the file's name only: mypy's cache may still say where an earlier run of this test had put it.
    said = {int(number) for number in re.findall(r"mixing\.py:(\d+): error", done.stdout)}
    assert said == wrong, done.stdout + done.stderr
