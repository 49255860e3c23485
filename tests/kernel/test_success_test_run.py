"""Success from words in whole runs: proposed before the first question, frozen, used on the winner, reported apart."""

from __future__ import annotations

import shutil
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from follow_env import FollowSignal

from experimenter.api import Experimenter
from experimenter.envs.judging import parse_judge
from experimenter.envs.pipeline import Pipeline
from experimenter.envs.spaces import space_to_json
from experimenter.errors import WorkspaceError
from experimenter.execution.local import LocalExecutor
from experimenter.judge.statistics import interval
from experimenter.loop.assemble import open_context
from experimenter.loop.context import RunContext
from experimenter.loop.graph import drive
from experimenter.loop.preparation import prepare
from experimenter.loop.success import frozen_test, propose_success_test
from experimenter.loop.success_shares import measure_success
from experimenter.planners.search.planner import SearchPlanner
from experimenter.policies.network import initial_params, views
from experimenter.policies.policy import Policy, save_policy
from experimenter.questions import QUESTIONS, SuccessTest, WriteSuccessTest
from experimenter.records import Arm, EnvSpec, Evaluation, Goal, Network, PolicyRef, Training
from experimenter.report.document import document
from experimenter.report.gather import gather
from experimenter.report.more import look_further
from experimenter.report.page import page
from experimenter.report.success import success_line
from experimenter.sandbox.level import containment
from experimenter.success import SHARES, TEST, read_shares, read_test
from experimenter.testing import ScriptedPlanner, example_card
from experimenter.workspace.store import Workspace

pytestmark = pytest.mark.skipif(containment().level != "full", reason="needs Landlock and seccomp")

WARM: list[LocalExecutor] = []
RUN = "follow"
PLACES = ("check_test", "record", "apply_test", TEST)
ENV = "follow_env:FollowSignal-v0"
SEARCH = SearchPlanner()
GOOD = 'def reward(t):\n    return {"success": np.where(t.next.streak >= 1.0, 1.0, 0.0)}\n'
LUCKY = 'def reward(t):\n    return {"success": np.where(t.next.streak >= 0.25, 1.0, 0.0)}\n'
NEVER = 'def reward(t):\n    return {"success": np.where(t.next.streak >= 5.0, 1.0, 0.0)}\n'
OTHERS = {kind.kind: SEARCH.answer for kind in QUESTIONS if kind is not WriteSuccessTest}


class Killed(BaseException):
    """Stands for kill −9: nothing between here and the process's end may act on it."""


class Writer:
    """A planner that writes one test after another, and answers everything else as the search does."""

    def __init__(self, *sources):
        self.sources, self.asked = list(sources), []
        self.planner = ScriptedPlanner({**OTHERS, "write_success_test": self.write})

    def write(self, question):
        self.asked.append(question)
        return SuccessTest(source=self.sources[len(self.asked) - 1])


@pytest.fixture(scope="module")
def prepared(tmp_path_factory):
    """A workspace with one run that is prepared and has not started; each test gets a copy."""
    root = tmp_path_factory.mktemp("prepared") / "experiments"
    agent = Experimenter(
        ENV,
        budget_steps=16_000,
        workspace=str(root),
        memory="off",
        controls="native",
        designs=1,
        confirm_seeds=2,
        workers=1,
        chunk_steps=2048,
        card_steps=200,
        eval_episodes=5,
    )
    prepare("follow the signal", agent.env, {}, agent.settings, run_id=RUN)
    return root


@pytest.fixture
def root(prepared, tmp_path):
    return Path(shutil.copytree(prepared, tmp_path / "experiments"))


def told(store):
    return [(event.kind, event.data) for event in store.events(RUN)]


@pytest.fixture(scope="module", autouse=True)
def executor():
    """One for all tests, so that its worker processes are warm."""
    WARM.append(LocalExecutor(1))
    yield
    WARM.pop().close()


@contextmanager
def opened(root, **changes):
    with Workspace.open(root, create=False) as store:
        yield replace(open_context(store, RUN, lambda: False), executor=WARM[0], **changes)


def driven(root, planner, **settings):
    """Drives the run to its end; its events and documents."""
    with opened(root, planner=planner) as ctx:
        drive(replace(ctx, settings=ctx.settings.model_copy(update=settings)))
        return told(ctx.workspace), ctx.workspace.documents(RUN)


def proposed(root, planner, *, judge=None, **settings):
    """The run as far as its first question."""
    with opened(root, planner=planner) as ctx:
        ctx = replace(ctx, settings=ctx.settings.model_copy(update=settings))
        if judge is not None:
            ctx = replace(ctx, card=ctx.card.model_copy(update={"judge": parse_judge(judge)}))
        propose_success_test(ctx)
        return told(ctx.workspace), ctx.workspace.documents(RUN)


def policy(root, name, sense):
    """A stored policy that follows the signal (``sense`` 1), goes against it (-1), or does nothing (0)."""
    space, actions = FollowSignal.observation_space, FollowSignal.action_space
    forms = (space_to_json(space), space_to_json(actions))
    made = Policy(Pipeline.for_space(space), None, Network(hidden=(2,)), {}, *forms)
    made.params = views(initial_params(made.shape, np.random.default_rng(0)), made.shape)
    for array in made.params.values():
        array[:] = 0.0
    made.params["hidden.0.weight"][0, 0, 0], made.params["hidden.0.bias"][0, 0, 0] = 10.0, -5.0
    made.params["actor.weight"][0] = -sense, sense
    path = f"runs/{RUN}/arms/{name}"
    return PolicyRef(path=path, hash=save_policy(root / path, made), lineage_steps=1)


def confirmed(store, root, name, senses):
    """An arm whose trainings left these policies; ``None`` is one that failed."""
    steps = []
    for index, sense in enumerate(senses):
        found = None if sense is None else policy(root, f"{name}_{index}", sense)
        state = "failed" if sense is None else "finished"
        step = f"{name}-{index}"
        one = Training(step=step, design="d", seed=index, status=state, steps=1, env_steps=1, policy=found)
        store.finish_step(RUN, step, "train", one.model_dump(mode="json"))
        steps.append(step)
    scores = tuple(float(index) for index in range(len(senses)))
    arm = Arm(name=name, trainings=steps, scores=scores, interval=interval(scores, 0))
    store.put_document(RUN, f"arm:{name}", arm.model_dump(mode="json"))
    store.put_document(RUN, "winner", {"trial": "t1", "steps": 1, "number": 0})


def test_the_winner_is_tried_on_the_judges_episodes_and_each_policy_once(root, monkeypatch) -> None:
    proposed(root, Writer(GOOD).planner)
    with opened(root) as ctx:
        confirmed(ctx.workspace, root, "winner", [1, -1, 1, None])
        confirmed(ctx.workspace, root, "native", [0])
        before, played = ctx.ledger().eval_steps, []
        run, commit = LocalExecutor.run, RunContext.commit

        def counted(self, jobs, **given):
            played.extend(job.payload["policy_hash"] or "random" for job in jobs if job.kind == "record")
            return run(self, jobs, **given)

        def dying(self, step, kind, outcome):
            commit(self, step, kind, outcome)
            if len(played) == 2:
                raise Killed

        monkeypatch.setattr(LocalExecutor, "run", counted)
        with monkeypatch.context() as patched:
            patched.setattr(RunContext, "commit", dying)
            with pytest.raises(Killed):
                measure_success(ctx)
        assert ctx.workspace.document(RUN, SHARES) is None
        measure_success(ctx)
        measure_success(ctx)
        # Equal policies are one policy; none is played again after the kill, or when the figures are there.
        assert len(played) == len(set(played)) == 4
        shares = read_shares(ctx.workspace.document(RUN, SHARES))
        documents, store = ctx.workspace.documents(RUN), ctx.workspace
        assert ctx.ledger().eval_steps - before == 16 * 5 + 3 * 40 * 5
        text = document(gather(store, RUN), look_further(store, gather(store, RUN)))
    assert shares is not None and shares.state == "measured"
    winner, native = shares.arm("winner"), shares.arm("native")
    assert winner is not None and native is not None
    assert winner.shares == (1.0, 0.0, 1.0, 0.0) and winner.failed == 1 and winner.interval.seeds == 4
    assert native.shares == (0.0,) and shares.random == 0.0
    assert "the winner meets it in 50 % (0 % to 100 %)" in success_line(documents)
    assert "100 %, 0 %, 100 %, 0 %" in text and "4, 1 failed" in text


def test_what_cannot_be_measured_is_said_and_the_run_ends_as_it_would(root, monkeypatch) -> None:
    proposed(root, Writer(GOOD).planner)
    with opened(root) as ctx:
        confirmed(ctx.workspace, root, "winner", [1])
        (root / f"runs/{RUN}/arms/winner_0/policy.safetensors").write_bytes(b"damaged")
        measure_success(ctx)
        shares = read_shares(ctx.workspace.document(RUN, SHARES))
        assert shares is not None and shares.state == "not measured" and "damaged" in shares.words
        confirmed(ctx.workspace, root, "winner", [1])
        with monkeypatch.context() as patched:
            patched.setattr(RunContext, "over_budget", lambda self: "the budget of 5 seconds is spent")
            measure_success(ctx)
        shares = read_shares(ctx.workspace.document(RUN, SHARES))
        assert shares is not None and "not measured: the budget of 5 seconds" in success_line(
            ctx.workspace.documents(RUN)
        )
        measure_success(ctx)
        shares = read_shares(ctx.workspace.document(RUN, SHARES))
        assert shares is not None and shares.state == "measured", "it is tried again when the run goes on"


@pytest.mark.slow
def test_the_whole_way(root) -> None:
    writer = Writer(GOOD)
    events, documents = driven(root, writer.planner, controls="all")
    kinds = [kind for kind, _ in events]
    assert kinds.index("success_test.proposed") < kinds.index("propose.finished")
    data = dict(events)["success_test.proposed"]
    assert data["state"] == "accepted" and data["source"] == GOOD
    assert any("experimenter show follow" in data.get("words", "") for kind, data in events if kind == "note")
    (question,) = writer.asked  # and nobody for the random control, which is a run of its own
    assert question.failed is None and question.error == ""

    test, shares = read_test(documents[TEST]), read_shares(documents[SHARES])
    assert test is not None and shares is not None
    assert test.is_frozen and test.gate.passed and test.gate.level == "full"
    assert test.gate.random is not None and (test.gate.random.episodes, test.gate.random.met) == (20, 0)
    assert [(one.name, one.episodes, one.met) for one in test.gate.idle] == [
        ("always action 0", 20, 0),
        ("always action 1", 20, 0),
    ]
    assert shares.state == "measured" and shares.episodes == 5 and shares.hash == test.hash
    assert [arm.name for arm in shares.arms] == ["winner", "native", "random"]
    winner = shares.arm("winner")
    assert winner is not None and len(winner.shares) == 2 and shares.random == 0.0

    _agrees_with_the_judges_episodes(root, documents, winner)
    _no_figure_of_the_judge_knows_of_it(documents)
    _is_reported_apart(root, test, winner)
    assert "not the judge" in success_line(documents) and test.hash[:12] in success_line(documents)


def _agrees_with_the_judges_episodes(root, documents, winner) -> None:
    """In this environment an episode that meets the goal ends before its limit, so that lengths tell the share."""
    arm = Arm.model_validate(documents["arm:winner"])
    with Workspace.open(root, create=False) as store:
        for share, step in zip(winner.shares, arm.evaluations, strict=True):
            lengths = Evaluation.model_validate(store.step(step)).lengths
            early = sum(length < 40 for length in lengths)
            late = sum(length == 40 for length in lengths)
            assert early <= share * 5 <= early + late
    assert max(winner.shares) > 0, "a policy that was trained follows the signal"


def _no_figure_of_the_judge_knows_of_it(documents) -> None:
    assert documents["arm:winner"]["success_rate"] is None
    assert documents["result"]["best"]["success_rate"] is None
    assert (
        "success_words" not in str(documents["result"])
        and "no success measure" in documents["result"]["judge"]
    )


def _is_reported_apart(root, test, winner) -> None:
    with Workspace.open(root, create=False) as store:
        data = gather(store, RUN)
        more = look_further(store, data)
        markdown, html = document(data, more), page(data, more)
    for text in (markdown, html):
        assert "Success by a test written from the wish" in text
        assert "no figure of the judge" in text
        assert test.hash in text and "always action 1" in text
    assert "np.where(t.next.streak >= 1.0, 1.0, 0.0)" in markdown
    assert "14 %" in markdown, "what twenty failures leave possible"
    assert markdown.index("Winner and controls") < markdown.index("written from the wish")


def test_a_refused_test_goes_back_with_its_error_and_a_better_one_is_taken(root) -> None:
    writer = Writer(LUCKY, NEVER, GOOD)
    _, documents = proposed(root, writer.planner)
    assert [question.failed for question in writer.asked] == [None, LUCKY, NEVER]
    assert "random actions" in writer.asked[1].error and "Be stricter" in writer.asked[1].error
    assert "can never be met" in writer.asked[2].error
    test = read_test(documents[TEST])
    assert test is not None and test.state == "accepted" and test.attempts == 3 and test.source == GOOD


def test_after_the_last_repair_it_is_refused_for_good_and_the_run_goes_on(root) -> None:
    writer = Writer(NEVER, NEVER)
    events, documents = proposed(root, writer.planner, max_repairs=1)
    assert len(writer.asked) == 2
    (data,) = [data for kind, data in events if kind == "success_test.proposed"]
    assert data["state"] == "refused" and "the run goes on" in data["words"]
    test = read_test(documents[TEST])
    assert test is not None and test.state == "refused" and test.gate.reason == "never met"
    assert success_line(documents).endswith("refused, never met")
    with opened(root) as ctx:
        assert frozen_test(ctx) is None
        measure_success(ctx)
        assert ctx.workspace.document(RUN, SHARES) is None


def test_a_planner_that_refuses_leaves_no_trace(root) -> None:
    events, documents = proposed(root, SEARCH)
    assert TEST not in documents and success_line(documents) == ""
    assert not any("success" in kind for kind, _ in events)
    assert not any("success" in str(data.get("words", "")).lower() for kind, data in events if kind == "note")


@pytest.mark.parametrize(
    "changes", [{"judge": "return>=16"}, {"judge": "return"}, {"success_test": "off"}], ids=str
)
def test_nobody_is_asked_where_a_judge_applies_or_the_setting_is_off(root, changes) -> None:
    writer = Writer(GOOD)
    proposed(root, writer.planner, **changes)
    assert writer.asked == []


@pytest.mark.parametrize(
    "place", ["success_gate", *(pytest.param(place, marks=pytest.mark.slow) for place in PLACES)]
)
def test_killed_anywhere_it_goes_on_to_the_same_test_and_asks_nothing_twice(root, place, monkeypatch) -> None:
    writer = Writer(LUCKY, GOOD)
    run, commit = LocalExecutor.run, RunContext.commit

    def dying_run(self, jobs, **given):
        if jobs[0].kind == place and len(writer.asked) == 2:
            raise Killed
        return run(self, jobs, **given)

    def dying_commit(self, step, kind, outcome):
        if kind == place and len(writer.asked) == 2:
            raise Killed
        commit(self, step, kind, outcome)

    monkeypatch.setattr(LocalExecutor, "run", dying_run)
    monkeypatch.setattr(RunContext, "commit", dying_commit)
    with pytest.raises(Killed):
        proposed(root, writer.planner)
    monkeypatch.undo()
    events, documents = proposed(root, writer.planner)
    assert [question.failed for question in writer.asked] == [None, LUCKY]
    assert len([kind for kind, _ in events if kind == "success_test.proposed"]) == 1
    test = read_test(documents[TEST])
    assert test is not None and test.state == "accepted" and test.attempts == 2


def test_a_test_that_was_changed_in_the_workspace_stops_its_use(root) -> None:
    proposed(root, Writer(GOOD).planner)
    with opened(root) as ctx:
        store = ctx.workspace
        assert frozen_test(ctx) is not None
        store.put_document(RUN, TEST, {**store.document(RUN, TEST), "source": LUCKY})
        with pytest.raises(WorkspaceError, match="frozen"):
            frozen_test(ctx)
        confirmed(store, root, "winner", [1])
        measure_success(ctx)
        shares = read_shares(store.document(RUN, SHARES))
        assert shares is not None and shares.state == "not measured" and "frozen" in shares.words
        assert "changed after it was frozen" in success_line(store.documents(RUN))
        assert "not the test that was frozen" in document(
            gather(store, RUN), look_further(store, gather(store, RUN))
        )


def test_a_question_without_a_failure_is_written_as_it_always_was() -> None:
    card = example_card()
    question = WriteSuccessTest(goal=Goal(wish="go", environment=EnvSpec(id="A-v0")), card=card)
    assert set(question.model_dump(mode="json")) == {"v", "seed", "goal", "card"}
    failed = question.model_copy(update={"failed": GOOD, "error": "It was met by chance."})
    written = failed.model_dump(mode="json")
    assert written["failed"] == GOOD and WriteSuccessTest.model_validate(written) == failed
