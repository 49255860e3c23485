"""What a language model may cost: weighed before a call, charged for everything that was answered, kept over a kill."""

from __future__ import annotations

import json

import pytest
from llm_runs import WISH, by_the_book, lab

from experimenter.cli import main
from experimenter.errors import BudgetError, ExperimenterError
from experimenter.loop.assemble import open_context
from experimenter.loop.view import run_view
from experimenter.planners.asked import question_id
from experimenter.planners.llm.asking import Asked, Talk
from experimenter.planners.llm.calls import Kept
from experimenter.planners.llm.clients import open_models
from experimenter.planners.llm.faults import ModelFault
from experimenter.planners.llm.forms import lever
from experimenter.planners.llm.names import parse_models
from experimenter.planners.llm.prompting import render
from experimenter.questions import ChooseLever, WriteRewards
from experimenter.records import Budget, Recollection
from experimenter.testing.models import FakeModels, Fault, Said
from experimenter.workspace.store import Workspace

RIGHT = json.dumps({"lever": "reward", "reason": "nothing pays"})


@pytest.fixture
def served(monkeypatch):
    with FakeModels(by_the_book) as server:
        for name, value in server.environ().items():
            monkeypatch.setenv(name, value)
        yield server


def question(ctx):
    view = run_view(ctx, 0, Recollection())
    return ChooseLever(card=view.card, available=("reward", "hyperparameters"), seed=view.seed)


@pytest.fixture
def opened(fast, workspace):
    """Prepares a run and opens it as its runner would, as often as is asked."""
    held = []

    def open_it(**changes):
        if changes:
            lab(fast, **changes).prepare(WISH, name="run")
        store = Workspace.open(workspace, create=False)
        ctx = open_context(store, "run", lambda: False)
        held.append((store, ctx))
        return ctx

    yield open_it
    for store, ctx in held:
        ctx.executor.close()
        store.close()


def test_a_larger_budget_asks_no_question_anew_and_pays_for_no_reply_twice(served, opened):
    ctx = opened(model="openai-compat:m", budget_tokens=50_000)
    asked = WriteRewards(goal=ctx.record.goal, card=ctx.card, count=1)
    larger = ctx.record.goal.model_copy(update={"budget": Budget(env_steps=10**6, tokens=90_000)})
    again = asked.model_copy(update={"goal": larger})
    assert question_id(asked) == question_id(again)
    first = ctx.ask(asked)
    calls = len(served.asked)
    ctx.workspace.raise_budget("run", larger.budget)
    resumed = opened()
    assert resumed.ask(again) == first and len(served.asked) == calls == 2


def test_what_declining_models_charged_is_kept_also_where_no_reply_came_in_the_end(monkeypatch):
    declined = Said(refusal="I would rather not.")
    turns = iter([declined, Fault("quota"), declined, RIGHT])
    with FakeModels(lambda asked: next(turns)) as server:
        client = open_models(parse_models("openai:a,openai-compat:b"), server.environ())
        log = Kept()
        asked = Asked("choose_lever", "q", "planner")
        card_question = _sample()
        form = lever(card_question)
        prompt = render(card_question, form.schema)
        for _ in range(1):
            with pytest.raises(ModelFault):
                Talk(client, asked, log=log).typed(prompt, form.schema, form.read)
        talk = Talk(client, asked, log=log)
        talk.typed(prompt, form.schema, form.read)
        billed = sum(tokens.input + tokens.output for tokens in server.billed)
    used = 0
    for call in log.calls.values():
        used += call.reply.usage.total + sum(one.usage.total for one in call.reply.passed_over if one.usage)
    assert used == billed and len(log.calls) == 2


def _sample():
    from llm_samples import questions

    return questions()["choose_lever"]


def test_a_fallback_is_weighed_with_what_was_paid_before_it(served, opened, monkeypatch):
    monkeypatch.setattr(served, "_script", [Said(refusal="I would rather not.")])
    ctx = opened(model="openai:a,anthropic:b", budget_tokens=13_000, model_tokens=6_000)
    assert ctx.ask(question(ctx)).lever
    spent = ctx.workspace.ledger("run").tokens
    assert {asked.model for asked in served.asked} == {"a", "b"}
    second = opened()
    assert second.ask(question(second).model_copy(update={"seed": 9})).lever
    assert spent <= second.workspace.ledger("run").tokens <= 13_000
    notes = " ".join(str(event.data.get("words")) for event in ctx.workspace.events("run"))
    assert "so search answered it" in notes


def test_a_rung_that_was_forgotten_by_a_kill_is_not_paid_for_again(opened, monkeypatch):
    with FakeModels([RIGHT], rungs=("tool", "text")) as server:
        for name, value in server.environ().items():
            monkeypatch.setenv(name, value)
        ctx = opened(model="openai-compat:m")
        first = ctx.ask(question(ctx))
        asked = len(server.asked)
        # As if the run had been killed between the call, which is kept, and the exchange.
        with ctx.workspace._database.transaction() as connection:
            connection.execute("DELETE FROM exchanges")
        monkeypatch.setattr(server, "_rungs", ("native", "tool", "text"))
        assert opened().ask(question(ctx)) == first
        assert len(server.asked) == asked == 1


def test_the_model_that_a_key_chose_stays_the_runs_model(served, opened, monkeypatch):
    monkeypatch.delenv("ANTHROPIC_API_KEY")
    ctx = opened(model=None)
    chosen = ctx.record.settings["model"]
    assert chosen.startswith("openai:")
    monkeypatch.setenv("ANTHROPIC_API_KEY", "another")
    again = opened()
    again.ask(question(again))
    assert {asked.model for asked in served.asked} == {chosen.partition(":")[2]}


def test_an_unusable_fallback_is_told_before_the_run_and_does_not_end_one_that_could_go_on(
    served, fast, monkeypatch
):
    monkeypatch.delenv("OPENAI_API_KEY")
    with pytest.raises(ModelFault, match="OPENAI_API_KEY is not set"):
        lab(fast, "ollama:x,openai:gpt-x").prepare(WISH)
    with FakeModels([Fault("server_error")]) as down:
        client = open_models(
            parse_models("openai-compat:x,openai:gpt-x"), down.environ() | {"OPENAI_API_KEY": ""}
        )
        with pytest.raises(ModelFault) as caught:
            Talk(client, Asked("k", "q", "planner")).code(render(_sample(), None), str)
    assert caught.value.kind == "unavailable" and "OPENAI_API_KEY is not set" in caught.value.message


def test_a_budget_that_pays_no_call_is_refused_before_the_run(served, fast, workspace):
    with pytest.raises(BudgetError, match=r"9,000 tokens cannot pay one call"):
        lab(fast, "openai-compat:m", budget_tokens=9_000).prepare(WISH)
    lab(fast, "openai-compat:m", budget_tokens=9_000, planner="search").prepare(
        WISH, name="no_model_is_asked"
    )


def test_a_no_to_the_price_leaves_nothing_behind(served, workspace, capsys):
    words = [
        "run",
        WISH,
        "--env",
        "CartPole-v1",
        "--planner",
        "llm",
        "--model",
        "openai:gpt-5",
        "--name",
        "dear",
    ]
    assert main([*words, "--workspace", str(workspace), "--budget-steps", "100000"]) == 2
    said = capsys.readouterr().err
    assert "may cost about $" in said and "--yes" in said
    with Workspace.open(workspace, create=False) as store:
        assert store.run_names() == ()


@pytest.mark.slow
def test_a_run_whose_words_ran_out_is_replayed_to_the_same_end(served, fast, workspace):
    limits = {"budget_tokens": 9_000, "model_tokens": 3_000, "budget_steps": 40_000, "designs": 2}
    first = lab(fast, "openai-compat:m", **limits).run(WISH, name="first")
    assert "the planner cannot be asked any more" in first.why_ended
    asked = len(served.asked)
    second = lab(fast, None, planner="replay:first", **limits).run(WISH, name="second")
    third = lab(fast, None, planner="replay:second", budget_steps=40_000, designs=2).run(WISH, name="third")
    assert (second.why_ended, third.why_ended) == (first.why_ended, first.why_ended)
    assert first.best.scores == second.best.scores == third.best.scores and len(served.asked) == asked
    with Workspace.open(workspace, create=False) as store:
        told = [[(e.kind, e.answer) for e in store.exchanges(run)] for run in ("first", "second", "third")]
        assert told[0] == told[1] == told[2]
        used = [store.exchanges(run)[0].usage for run in ("first", "second", "third")]
        assert used[1]["replayed"] == used[0] == used[2]["replayed"], (
            "a replay of a replay tells of the first"
        )


@pytest.mark.parametrize(
    "damage",
    [
        {"vector": {"kind": 5}},
        {"recalls": [7]},
        {"recalls": [{"skills": [{"policy": {"path": "../../etc/passwd"}}]}]},
        {"exchanges": [{"kind": "reflect", "question": {}, "answer": 7}]},
        {"exchanges": 5},
        {"run": ["a"]},
        {"device": 7},
    ],
)
def test_a_damaged_archive_is_refused_by_its_name_before_a_run(served, fast, workspace, tmp_path, damage):
    ctx_settings = lab(fast, "openai-compat:m")
    ctx_settings.prepare(WISH, name="run")
    archive = json.loads(ctx_settings.exchanges("run").model_dump_json()) | damage
    path = tmp_path / "archive.json"
    path.write_text(json.dumps(archive))
    with pytest.raises(ExperimenterError, match="archive"):
        lab(fast, None, planner=f"replay:{path}").prepare(WISH)


@pytest.mark.parametrize("note", ["~50 steps are enough", "x" * 400 + " y", "a\0b c", "no/such folder here"])
def test_a_note_that_is_no_file_is_a_sentence(served, fast, workspace, note):
    run = lab(fast, "openai-compat:m", notes=(note,)).prepare(WISH)
    with Workspace.open(workspace, create=False) as store:
        (kept,) = store.document(run, "notes")["notes"]
    assert (kept["kind"], kept["text"]) == ("hint", note)
