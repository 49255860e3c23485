"""What is awaited: the same methods, never waiting in the loop's own thread, and runs that end with their owner."""

from __future__ import annotations

import asyncio
import inspect
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
from run_samples import whole_run

from experimenter import AsyncExperimenter, Experimenter
from experimenter.api import LabMemory, LabSkills
from experimenter.api.later import AsyncMemory, AsyncSkills
from experimenter.errors import BudgetError, NotFound

TINY = {
    "budget_steps": 10_000,
    "confirm_seeds": 1,
    "designs": 1,
    "eval_episodes": 3,
    "card_steps": 100,
    "chunk_steps": 1024,
    "workers": 1,
    "controls": "none",
    "memory": "off",
}


def _public(kind):
    found = inspect.getmembers(kind, lambda member: callable(member) or hasattr(member, "__wrapped__"))
    return {name: member for name, member in found if not name.startswith("_")}


@pytest.mark.parametrize(
    ("blocking", "later"),
    [(Experimenter, AsyncExperimenter), (LabMemory, AsyncMemory), (LabSkills, AsyncSkills)],
)
def test_the_twins_have_the_same_methods_with_the_same_signatures(blocking, later):
    here, there = _public(blocking), _public(later)
    assert here.keys() == there.keys()
    for name, method in here.items():
        twin = getattr(there[name], "__wrapped__", there[name])
        assert list(inspect.signature(twin).parameters.items()) == list(
            inspect.signature(method).parameters.items()
        ), name
        assert inspect.getdoc(there[name]), name
    assert inspect.signature(Experimenter.__init__) == inspect.signature(AsyncExperimenter.__init__)


def test_what_is_awaited_answers_as_what_blocks(workspace):
    whole_run(workspace)
    lab, later = Experimenter(workspace=workspace), AsyncExperimenter(workspace=workspace)

    async def ask():
        result, found, runs, skills = await asyncio.gather(
            later.result("latest"), later.memory.search("flag"), later.runs(), later.skills.list()
        )
        with pytest.raises(NotFound):
            await later.skills.get("nothing")
        events = [event async for event in later.follow("reach_the_flag")]
        return result, found, runs, skills, events

    result, found, runs, skills, events = asyncio.run(ask())
    assert (result, found, runs) == (lab.result(), lab.memory.search("flag"), lab.runs())
    assert skills == lab.skills.list() == () and events == list(lab.follow("reach_the_flag"))


def test_nothing_that_can_wait_happens_in_the_loops_thread(tmp_path):
    """Files, databases, processes and imports are seen by an audit hook, in whatever thread they are opened."""
    script = f"""
        import asyncio, sys, threading
        from experimenter import AsyncExperimenter

        lab = AsyncExperimenter("CartPole-v1", workspace={str(tmp_path / "ws")!r}, **{TINY!r})
        mine, seen, watching = threading.get_ident(), [], False
        waiting = ("open", "sqlite3.connect", "subprocess.Popen", "import", "os.listdir", "os.mkdir", "time.sleep")

        def hook(event, args):
            if watching and event in waiting and threading.get_ident() == mine:
                seen.append((event, str(args[:1])))

        async def everything():
            global watching
            await asyncio.to_thread(int)
            watching = True
            result = await lab.run("keep the pole up", name="pole")
            await asyncio.gather(
                lab.judge(result, episodes=2), lab.report(), lab.runs(), lab.memory.items(), lab.skills.list()
            )
            policy = await lab.policy("pole")
            watching = False
            return result.status, policy.act([0.0, 0.0, 0.0, 0.0]) in (0, 1)

        sys.addaudithook(hook)
        assert asyncio.run(everything()) == ("finished", True)
        assert not seen, seen
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script)], capture_output=True, text=True, timeout=200
    )
    assert done.returncode == 0, done.stderr


def test_two_runs_with_the_same_wish_go_on_at_once(workspace):
    labs = [AsyncExperimenter("CartPole-v1", workspace=workspace, seed=seed, **TINY) for seed in (0, 1)]

    async def both():
        return await asyncio.gather(*(lab.run("keep it up") for lab in labs))

    first, second = asyncio.run(both())
    assert first.status == second.status == "finished"
    assert {first.run, second.run} == {"keep_it_up", "keep_it_up_2"}


async def _begun(lab, run, times):
    """Returns when the run's runner has begun that many times; watching and leaving asks nothing of it."""
    while not (lab.workspace / "runs" / run / "run.pid").exists():
        await asyncio.sleep(0.01)
    begun = 0
    async for event in lab.follow(run):
        begun += event.kind in ("run.started", "run.resumed")
        if begun == times:
            return
    raise AssertionError(f"{run} began {begun} times")


async def _cancelled(lab, owning, run, times):
    """Cancels the owner of a run that goes on; returns how the run ended."""
    owner = asyncio.create_task(owning)
    await _begun(lab, run, times)
    owner.cancel()
    with pytest.raises(asyncio.CancelledError):
        await owner
    last = [event async for event in lab.follow(run)][-1]
    return last.kind, (await lab.result(run)).status


def test_a_run_stops_when_its_owner_is_cancelled_also_when_it_was_resumed(workspace):
    lab = AsyncExperimenter("CartPole-v1", workspace=workspace, **TINY | {"budget_steps": 200_000})
    stopped = ("run.stopped", "stopped")
    assert asyncio.run(_cancelled(lab, lab.run("keep it up", name="owned"), "owned", 1)) == stopped
    assert asyncio.run(_cancelled(lab, lab.resume("owned"), "owned", 2)) == stopped
    with pytest.raises(BudgetError):
        asyncio.run(lab.resume("owned", budget_steps=1_000))


def test_a_stop_that_is_asked_while_the_runner_comes_up_reaches_it(workspace):
    lab = Experimenter("CartPole-v1", workspace=workspace, **TINY | {"budget_steps": 200_000})
    run = lab.start("keep it up")
    lab.stop(run)
    assert [event.kind for event in lab.follow(run)][-1] == "run.stopped"


def test_a_run_that_is_cancelled_before_it_starts_never_does(workspace):
    lab = AsyncExperimenter("CartPole-v1", workspace=workspace, **TINY)

    async def too_soon():
        task = asyncio.create_task(lab.run("keep it up", name="unborn"))
        await asyncio.sleep(0)
        task.cancel()
        await asyncio.wait([task])
        assert task.cancelled()

    asyncio.run(too_soon())  # which waits for its threads
    events = [event.kind for event in Experimenter(workspace=workspace).follow("unborn")]
    assert events == ["run.created"]


def test_leaving_a_stream_leaves_the_run_going(workspace):
    lab = AsyncExperimenter("CartPole-v1", workspace=workspace, **TINY)

    async def look_away():
        async for event in lab.stream("keep it up"):
            if event.kind == "run.started":
                return event.run
        raise AssertionError("it never started")

    run = asyncio.run(look_away())
    assert [event.kind for event in Experimenter(workspace=workspace).follow(run)][-1] == "run.finished"


def test_the_module_that_blocks_does_not_load_asyncio():
    code = "import sys, experimenter.api; print('asyncio' in sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=Path(__file__).parent
    )
    assert done.stdout.strip() == "False"
