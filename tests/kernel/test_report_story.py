"""What a full report tells: the winner's history, what its reward did, what was discarded, what memory brought."""

from __future__ import annotations

import base64
import re
from dataclasses import replace
from pathlib import Path

import pytest
from run_samples import HOSTILE, SOURCE, SPEC, begin, design, finish, trial

from experimenter import records
from experimenter.identity import step_id
from experimenter.records import (
    Candidate,
    ComponentTrace,
    Interval,
    Lesson,
    PolicyRef,
    Recollection,
    RewardProgram,
    Skill,
    Trial,
)
from experimenter.report import write_report
from experimenter.report.discards import discard_groups
from experimenter.report.drawing import DARK, LIGHT, Theme, arm_place
from experimenter.report.explain import explain
from experimenter.report.gather import gather
from experimenter.report.history import lineage, program_history, program_of
from experimenter.report.more import look_further
from experimenter.report.page import page
from experimenter.report.plots import intervals_picture
from experimenter.report.search import notable_trials
from experimenter.report.traces import paid
from experimenter.report.wording import component_words
from experimenter.workspace.store import Workspace

RUN = "reach_the_flag"


def program(name: str, weight: float, parents: tuple[str, ...] = ()) -> RewardProgram:
    return RewardProgram(name=name, source=SOURCE.replace("5.0", str(weight)), parents=parents)


def tried(cycle: int, one: RewardProgram, score: float = -120.0, parent: str | None = None) -> Trial:
    """A trial whose best candidate is paid by ``one``."""
    base = trial(cycle, "reward", score)
    best = base.candidates[0]
    phase = best.design.phases[0].model_copy(update={"reward": one})
    changed = best.design.model_copy(update={"phases": (phase,), "parent": parent})
    first = best.model_copy(update={"design": changed})
    return base.model_copy(update={"candidates": (first, *base.candidates[1:]), "accepted": True})


def best_of(one: Trial) -> Candidate:
    assert one.winner is not None
    return one.winner


def text_of(page_text: str) -> str:
    return " ".join(re.sub(r"<[^>]+>", " ", page_text.partition("</style>")[2]).split())


def test_a_programs_history_is_followed_through_the_journal() -> None:
    first, other = program("draft", 1.0), program("other", 9.0)
    second = program("better", 2.0, (first.hash,))
    third = program("best", 3.0, (second.hash, other.hash))
    trials = [tried(n, one) for n, one in enumerate((first, other, second, third))]
    line = program_history(trials, best_of(trials[3]).design)
    assert [(one.program.name, one.trial) for one in line] == [
        ("draft", "t0"),
        ("better", "t2"),
        ("best", "t3"),
    ]
    assert line[0].diff == () and line[2].others == ("other",)
    changed = [row for row in line[2].diff if row[0] in "+-" and row[:3] not in ("+++", "---")]
    assert changed == [
        '-        "higher": 2.0 * (t.gamma * height_next - height_now),',
        '+        "higher": 3.0 * (t.gamma * height_next - height_now),',
    ]


def test_without_a_known_parent_it_follows_the_designs_parent() -> None:
    old, new = program("old", 1.0), program("new", 2.0, ("0" * 32,))
    trials = [tried(0, old), tried(1, new, parent="t0")]
    assert [one.program.name for one in program_history(trials, best_of(trials[1]).design)] == ["old", "new"]
    assert [one.changed for one in lineage(trials, trials[1])] == [
        "the beginning of the line",
        "reward old → new",
    ]
    assert program_history(trials, design("native", 100, reward=False)) == ()


def test_programs_that_name_each_other_as_parents_end() -> None:
    one = program("one", 1.0)
    two = program("two", 2.0, (one.hash,))
    one = one.model_copy(update={"parents": (two.hash,)})
    trials = [tried(0, one, parent="t1"), tried(1, two, parent="t0")]
    assert len(program_history(trials, best_of(trials[1]).design)) == 2
    assert len(lineage(trials, trials[1])) == 2


def test_the_page_shows_the_history_in_colour(workspace: Path) -> None:
    old = program("old", 1.0)
    with Workspace.open(workspace) as store:
        begin(store)
        finish(store)
        new = program_of(design("climb_1", 100))
        assert new is not None
        for one in (tried(1, new.model_copy(update={"parents": (old.hash,)})), tried(7, old)):
            store.finish_step(RUN, step_id(run=RUN, cycle=one.cycle, kind="x", index=1), "x", {}, trial=one)
        found = gather(store, RUN)
        assert found.result is not None and found.result.best is not None
        winner = found.result.best.design
        phase = winner.phases[0].model_copy(
            update={"reward": best_of(found.trials[1]).design.phases[0].reward}
        )
        best = found.result.best.model_copy(update={"design": winner.model_copy(update={"phases": (phase,)})})
        result = found.result.model_copy(update={"best": best})
        store.put_document(RUN, "result", result.model_dump(mode="json"))
        text = write_report(store, RUN).read_text()
    assert "History of its program" in text
    assert re.search(r'<span class="del">-[^<]*1\.0 \* ', text)
    assert re.search(r'<span class="add">\+[^<]*5\.0 \* ', text)


def test_components_over_seeds_and_in_words() -> None:
    base = best_of(trial(1, "reward", -104.5)).training
    assert base is not None

    def trace(name: str, top: float, share: float, tie: float | None) -> ComponentTrace:
        return ComponentTrace(
            name=name, minimum=(0.0,), mean=(top / 2,), maximum=(top,), share=share, correlation=tie
        )

    one = base.model_copy(
        update={"components": (trace("big", 1.0, 0.9, -0.6), trace("dead", 0.0, 0.0, None))}
    )
    two = base.model_copy(
        update={"components": (trace("big", 3.0, 1.0, -0.8), trace("dead", 0.0, 0.0, None))}
    )
    found = paid([one, two])
    assert [(part.name, part.share, part.maximum, part.mean, part.seeds) for part in found] == [
        ("big", pytest.approx(0.95), (3.0,), (1.0,), 2),
        ("dead", 0.0, (0.0,), (0.0,), 2),
    ]
    words = " ".join(component_words(found))
    assert "big dominates" in words and "dead is dead" in words and "goes against the true score" in words
    assert component_words(()) == ("No component dominates, and none is dead.",)


def test_a_trial_is_explained_its_best_first() -> None:
    old = program("old", 1.0)
    trials = (tried(0, old), tried(1, program("new", 2.0, (old.hash,))))
    found = explain(trials, trials[1])
    assert [one.best for one in found] == [True, False, False]
    assert found[0].parent == "old" and any(row.startswith("+ ") for row in found[0].diff)
    assert {part.name for part in found[0].components} == {"higher", "faster", "arrived"}
    assert "own reward" in found[1].words[0] and found[1].discarded == "lower half of rung 1"


def test_discards_are_grouped_by_reason_and_counted() -> None:
    base = trial(0, "reward", -104.5)
    lost = [
        base.candidates[1].model_copy(update={"discarded": f"not among the best {n} at rung 0"})
        for n in (1, 4)
    ]
    broken = [
        base.candidates[1].model_copy(update={"discarded": f"failed its check: line {n}"}) for n in range(3)
    ]
    groups = discard_groups([base.model_copy(update={"candidates": (base.candidates[0], *lost, *broken)})])
    assert [(group.reason, len(group.members)) for group in groups] == [
        ("failed its check", 3),
        ("not among the best at rung 0", 2),
    ]


def test_recalled_lessons_testimonies_and_a_kept_skill_are_shown(workspace: Path) -> None:
    known = Lesson(
        id="old1", sentence="Height is what counts.", environment=SPEC.id, lever="reward", trials=("a/t0",)
    )
    skill = Skill(
        name="climb-the-hill",
        description=f"Reaches the flag {HOSTILE}",
        environment=SPEC,
        environment_hash=SPEC.hash,
        policy=PolicyRef(path="skills/x", hash="b" * 32, lineage_steps=100_000),
        judge="j",
        score=Interval(iqm=-103, low=-106, high=-99, seeds=5),
        success=Interval(iqm=0.9, low=0.8, high=1.0, seeds=5),
        run=RUN,
        trial="t1",
    )
    with Workspace.open(workspace) as store:
        begin(store)
        finish(store)
        step = step_id(run=RUN, cycle=0, kind="recall", index=0)
        store.finish_step(RUN, step, "recall", Recollection(lessons=(known,)).model_dump(mode="json"))
        old = step_id(run=RUN, cycle=1, kind="recall", index=0)
        store.finish_step(RUN, old, "recall", [known.model_dump(mode="json")])
        store.finish_step(RUN, "e" * 32, "keep", {}, skill=skill)
        data = gather(store, RUN)
        more = look_further(store, data)
        told = records.Testimony(lesson="old1", trial=f"{RUN}/t1", agrees=True, effect=35.5)
        text = text_of(page(data, replace(more, testimonies=(told,))))
    assert text.count("Height is what counts.") == 1
    assert "1 of 1 later trials agree, the last (reach_the_flag/t1) with effect +35.5" in text
    assert "climb-the-hill" in text and "90 % (80 % to 100 % over 5 training seeds)" in text
    assert "&lt;script&gt;" in text


def test_inherited_steps_stand_apart_and_count_once(workspace: Path) -> None:
    with Workspace.open(workspace) as store:
        begin(store)
        finish(store)
        outside = PolicyRef(path="skills/climb/policy", hash="a" * 32, lineage_steps=123_456)
        own = PolicyRef(path=f"runs/{RUN}/trials/t0/x", hash="c" * 32, lineage_steps=777)
        warm = [
            Candidate(design=design(f"warm_{n}", 100).model_copy(update={"start": start}))
            for n, start in enumerate((outside, outside, own))
        ]
        one = trial(4, "memory", -120.0).model_copy(update={"candidates": tuple(warm)})
        store.finish_step(RUN, "d" * 32, "x", {}, trial=one)
        data = gather(store, RUN)
        more = look_further(store, data)
        assert more.inherited == 123_456
        assert re.search(
            r"inherited 123,456 behind starting policies of earlier runs", text_of(page(data, more))
        )


def test_a_thousand_trials_stay_readable(workspace: Path) -> None:
    with Workspace.open(workspace) as store:
        begin(store)
        finish(store)
        data = gather(store, RUN)
        more = look_further(store, data)
    many = tuple(
        trial(n, ("reward", "hyperparameters")[n % 2], -200.0 + n / 12, sentence=HOSTILE).model_copy(
            update={"accepted": n % 100 == 0}
        )
        for n in range(1000)
    )
    text = page(replace(data, trials=many, lessons=data.lessons * 400), more)
    assert len(text) < 3_000_000
    assert text.count("<tr>") < 900 and text.count("<details") < 80
    assert {"t900", "t999"} <= {one.id for one in notable_trials(many)} and len(notable_trials(many)) <= 40
    words = text_of(text)
    assert "of 1,000 trials" in words and "2,000 of 3,000 candidate designs were discarded" in words
    for left in ("more in the workspace: experimenter show reach_the_flag", "and 975 more", "and 1,185 more"):
        assert left in words


def test_a_dark_drawing_is_the_light_one_in_other_colours(workspace: Path) -> None:
    def colours(theme: Theme) -> set[str]:
        return {one.lower() for one in (theme.ink, theme.faint, theme.paper, *theme.colours)}

    assert len(colours(LIGHT)) == len(colours(DARK)) == 3 + len(LIGHT.colours)
    with Workspace.open(workspace) as store:
        begin(store)
        finish(store)
        drawn = intervals_picture(gather(store, RUN).arms)
    assert drawn is not None
    found = [base64.b64decode(one).decode() for one in re.findall(r"base64,([A-Za-z0-9+/=]+)", drawn)]
    small_dark, dark, small, light = found
    assert "#56b4e9" in dark and "#56b4e9" in small_dark and "#0072b2" in light and "#0072b2" in small
    for ours, other in ((dark, LIGHT), (light, DARK)):
        assert not colours(other) & set(re.findall(r"#[0-9a-f]{6}", ours))
    assert re.sub(r"#[0-9a-f]{6}", "", dark) == re.sub(r"#[0-9a-f]{6}", "", light)


def test_an_arm_keeps_its_colour_whoever_else_is_there() -> None:
    assert [arm_place(name) for name in ("winner", "native", "random", "winner_2")] == [0, 1, 2, 3]
