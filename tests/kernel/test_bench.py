"""The reward bench: which gate refuses what and why, what a training adds, and that nothing is left behind."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import Any

import pytest
from test_sandbox_hostile import MUST_FAIL, PROGRAMS, TOKEN, Canary, canary  # noqa: F401 - a fixture

from experimenter.config import Settings
from experimenter.envs.records import EnvCard
from experimenter.errors import ContainmentError, ProgramRejected, UsageError
from experimenter.execution import benching
from experimenter.execution.benching import LAYERS, Gates, inspect_program, passed_until
from experimenter.judge.statistics import compare
from experimenter.loop.bench import bench_file, bench_reward
from experimenter.loop.benched import Trained, comparison_words, merged
from experimenter.loop.preparation import look_at
from experimenter.loop.program_file import read_program
from experimenter.records import Design, Diagnosis, Fault, Phase, RewardProgram, WeightedEnv

GOOD = """
def reward(t):
    upright = 1.0 - np.abs(t.next.pole_angle) / 0.21
    return {"upright": upright, "paid": t.native_reward, "nothing": 0.0 * upright}
"""
# What is unfit only where random actions seldom come is left for the training to refuse.
RARELY_UNFIT = {"71_inf_reward"}
QUICK = Settings(card_steps=200, eval_episodes=4, workers=1)


@pytest.fixture(scope="module")
def card() -> EnvCard:
    return look_at("CartPole-v1", {}, judge=None, steps=200, seed=0, silence=60.0)


def _order(card: EnvCard, source: str, steps: int = 512) -> dict[str, Any]:
    program = RewardProgram(name="mine", source=source)
    phase = Phase(environments=(WeightedEnv(environment=card.spec),), reward=program, steps=1)
    return {
        "program": program.model_dump(mode="json"),
        "environment": card.spec.model_dump(mode="json"),
        "design": Design(name="mine", phases=(phase,)).model_dump(mode="json"),
        "features": [one.model_dump(mode="json") for one in card.features],
        "seed": 3,
        "steps": steps,
    }


def _gates(card: EnvCard, source: str, steps: int = 512) -> Gates:
    return Gates.model_validate(inspect_program(_order(card, source, steps), lambda _: None))


def _body(expression: str) -> str:
    return f"def reward(t):\n    return {{'a': {expression}}}\n"


def _program(source: str) -> RewardProgram:
    return RewardProgram(name="mine", source=source, origin="person")


@pytest.mark.parametrize(
    ("source", "layer", "why", "hint"),
    [
        ("import os\n" + _body("t.elapsed"), "static", "Line 1: import os", "numpy"),
        (_body("t.now.pole_angel"), "static", "Line 2: t.now.pole_angel is no feature", "mean pole_angle"),
        (_body("t.nxt.pole_angle"), "static", "Line 2", ""),
        (_body("np.ones((60000, 60000))[0, 0] * t.elapsed"), "limits", "MemoryError", ""),
        (_body("t.elapsed / 0.0"), "contract", "component a is", "Guard divisions"),
        (_body("t.elapsed, 'b': 'ten'"), "contract", "b", ""),
        (_body("t.next.pole_angle - np.mean(t.next.pole_angle)"), "preflight", "split", "Row i"),
        (_body("0.0 * t.next.pole_angle"), "preflight", "constant", "depend on t"),
    ],
)
def test_a_refusal_names_its_gate_and_says_why(card, source, layer, why, hint):
    found = _gates(card, source)
    assert found.refused is not None and found.refused.name == layer
    assert why in found.refused.words and hint in found.refused.hint
    place = LAYERS.index(layer)
    assert [one.state for one in found.layers[:place]] == ["passed"] * place
    assert {one.state for one in found.layers[place + 1 :]} == {"not reached"}
    assert found.env_steps == (0 if layer == "static" else 512)


def test_a_wrong_feature_is_answered_with_every_known_one(card):
    refused = _gates(card, _body("t.now.height")).refused
    assert refused is not None
    assert all(feature.name in refused.hint for feature in card.features)


def test_a_sound_program_shows_its_components_and_what_it_reads(card):
    found = _gates(card, GOOD)
    assert found.refused is None and found.layers[-1].state == "not reached"
    assert found.fields == ("native_reward", "next.pole_angle")
    assert found.level in {"full", "reduced"} and found.microseconds_per_transition > 0
    parts = {part.name: part for part in found.components}
    assert parts["nothing"].dead and parts["paid"].constant and not parts["paid"].dead
    assert sum(part.share for part in parts.values()) == pytest.approx(1.0)
    assert parts["upright"].minimum < parts["upright"].mean < parts["upright"].maximum


def test_the_level_is_told_of_a_refused_program_too(card):
    found = _gates(card, _body("np.log(-1.0 - t.elapsed)"))
    assert found.level == _gates(card, GOOD).level
    assert found.level in next(one.words for one in found.layers if one.name == "containment")


def test_without_containment_the_program_is_refused_there(card, monkeypatch):
    def none(*_: Any, **__: Any) -> Any:
        raise ContainmentError("It cannot be contained.", "Use Linux.")

    monkeypatch.setattr(benching, "open_program", none)
    refused = _gates(card, GOOD).refused
    assert refused is not None and (refused.name, refused.hint) == ("containment", "Use Linux.")


def test_uncontained_is_never_called_contained():
    words = passed_until("training", "", "", "none")[LAYERS.index("containment")].words
    assert "NOT contained" in words


def test_each_call_of_the_program_is_a_sign_of_life(card):
    heard: list[dict[str, Any]] = []
    inspect_program(_order(card, "import os\n"), heard.append)
    assert heard == []
    inspect_program(_order(card, GOOD), heard.append)
    rollout = 512 // 8
    assert len(heard) >= rollout + 8


@pytest.mark.parametrize(
    "name", sorted(PROGRAMS.keys() - {"51_memory_leak"})
)  # seconds, and the sandbox's tests have it
def test_hostile_programs_end_in_a_refusal_or_in_harmless_figures(name, card, canary):  # noqa: F811
    held: Canary = canary
    path = held.root / "reward.py"
    path.write_text(held.arm(PROGRAMS[name]))
    try:
        found = _gates(card, read_program(path).source, 64)
    except ProgramRejected as refused:
        assert refused.layer == "file"
        return
    assert held.untouched() and TOKEN not in found.model_dump_json()
    assert found.refused is not None or (name not in MUST_FAIL - RARELY_UNFIT and found.components)


@pytest.mark.parametrize("make", ["missing", "folder", "pipe", "strange"])
def test_what_is_no_file_is_the_commands_fault(make, tmp_path: Path):
    path = tmp_path / ("a\0b" if make == "strange" else "reward.py")
    if make == "folder":
        path.mkdir()
    if make == "pipe":
        os.mkfifo(path)
    with pytest.raises(UsageError) as caught:
        read_program(path)
    assert caught.value.exit_code == 2 and caught.value.hint


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "empty"),
        (b" \n\t", "empty"),
        (b"\xff\xfe\x00", "UTF-8"),
        (b"#" * 20_001, "too many"),
        (b"#" * 5_000_000, "too large"),
    ],
)
def test_a_file_that_holds_no_program_is_refused_by_the_first_gate(content, words, tmp_path: Path):
    path = tmp_path / "reward.py"
    path.write_bytes(content)
    found = bench_file(path, "CartPole-v1", {}, settings=QUICK)
    assert not found.accepted and found.refused_by == "file" and words in found.why and found.hint
    assert found.program is None and found.card_steps == found.env_steps == 0


def test_a_program_is_named_after_its_file(tmp_path: Path):
    path = tmp_path / "My Reward!.py"
    path.write_bytes(b"\xef\xbb\xbf" + GOOD.encode())
    found = read_program(path)
    assert found.name == "my_reward" and found.source == GOOD


def test_a_training_adds_traces_scores_and_words(tmp_path: Path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    said: list[tuple[str, float | None]] = []
    found = bench_reward(
        _program(GOOD), "CartPole-v1", {}, steps=2048, training_seeds=1, settings=QUICK,
        say=lambda *what: said.append(what),
    )  # fmt: skip
    assert found.accepted and found.refused_by is None and "1 short training." in found.sentence
    assert {one.state for one in found.gates.layers} == {"passed"}
    assert found.trained is not None and found.native is not None and found.comparison is not None
    traces = {trace.name: trace for trace in found.trained.trainings[0].components}
    assert set(traces) == {"upright", "paid", "nothing"}
    assert traces["paid"].correlation == pytest.approx(1.0) and traces["nothing"].correlation is None
    assert not found.native.trainings[0].components
    assert found.trained.trainings[0].seed == found.native.trainings[0].seed
    assert found.trained.trainings[0].policy is None and len(found.trained.evaluations[0].scores) == 4
    assert found.against_native.startswith("1 seed: too few to say")
    assert found.diagnosis is not None and "nothing never paid" in found.diagnosis.words
    assert found.env_steps == found.gates.env_steps + 2 * 2048 and found.eval_steps > 0
    assert found.card_steps == 200
    stages = list(dict.fromkeys(words for words, _ in said))
    assert stages[0] == "measuring the environment" and len(stages) == 6
    assert all(done is None or 0 <= done <= 1 for _, done in said)
    assert list(tmp_path.iterdir()) == []


def test_what_fails_only_in_training_is_refused_there():
    source = _body("np.sqrt(90.0 - t.elapsed)")
    found = bench_reward(
        _program(source), "CartPole-v1", {}, steps=40_000, training_seeds=1, seed=1, settings=QUICK
    )
    assert not found.accepted and found.refused_by == "training"
    assert "component a is nan" in found.why and found.native is None
    assert found.trained is not None and found.trained.failed == 1
    assert found.trained.scores == (found.random_return,)
    assert found.diagnosis is not None and found.diagnosis.faults[0].name == "training failed"


def _trained(*scores: float) -> Trained:
    middle = sorted(scores)[len(scores) // 2]
    return Trained(
        score=middle,
        scores=scores,
        success_rate=None,
        env_steps=1,
        eval_steps=1,
        failed=0,
        trainings=(),
        evaluations=(),
    )


@pytest.mark.parametrize(
    ("mine", "other", "words"),
    [
        ((9.0, 9.0), (1.0, 1.0), "2 seeds: too few to say"),
        ((9.0, 9.1, 9.2, 9.3, 9.4), (1.0, 1.1, 1.2, 1.3, 1.4), "better than the native reward"),
        ((1.0, 1.1, 1.2, 1.3, 1.4), (9.0, 9.1, 9.2, 9.3, 9.4), "worse than the native reward"),
        ((1.0, 2.0, 3.0, 4.0, 5.0), (1.1, 2.1, 2.9, 4.1, 4.9), "no measurable difference"),
    ],
)
def test_no_more_is_said_than_the_seeds_allow(mine, other, words):
    found = compare("native", mine, other, 0)
    assert words in comparison_words(_trained(*mine), _trained(*other), found, 20_000)


def test_a_fault_of_some_trainings_says_of_how_many():
    plateau = Fault(name="plateau", detail="it stopped")
    dead = Fault(name="dead component", detail="a never paid", component="a")
    found = merged([Diagnosis(faults=(plateau, dead)), Diagnosis(faults=(dead,))])
    assert found.words == "Plateau: it stopped (in 1 of 2 trainings). Dead component: a never paid."
    assert merged([Diagnosis(), Diagnosis()]).words == "No fault was found."


def test_a_refusal_keeps_its_layer_across_a_process_border():
    with pytest.raises(ProgramRejected) as caught:
        raise ProgramRejected("no", "yes", "file")
    assert caught.value.layer == "file"
