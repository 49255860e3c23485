"""Where no judge applies: a planner that can is asked for a test of success, which must pass a gate to be frozen.

The test never feeds the judge, the verdict or promotion: it is generated code. It is asked for before the first
question of a run, shown to the person, and frozen by its hash; ``success_shares`` says what it makes of the winner.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, Literal

from experimenter.budget import Ledger
from experimenter.contracts import Job, JobResult
from experimenter.errors import PlannerRefused, ProgramRejected, WorkspaceError
from experimenter.events import NewEvent
from experimenter.execution.examining import Applied
from experimenter.execution.recording import Recorded
from experimenter.identity import digest, seeds
from experimenter.loop.context import Outcome, RunContext
from experimenter.loop.replaying import stored_archive
from experimenter.planners.llm.route import Routed
from experimenter.questions import SuccessTest, WriteSuccessTest
from experimenter.records import PolicyRef
from experimenter.success import TEST, Gate, Reason, Tried, WordedTest, frozen_hash, read_test

__all__ = ["apply_frozen", "frozen_test", "propose_success_test", "recorded", "run_one"]

EPISODES: Final = 20
MOST_STEPS: Final = 20_000
"""Steps of each policy that must fail, at most; where episodes are very long, fewer of them are played."""

_PASSED: Final = "a test of success was written from the wish, and passed its gate: it is frozen as {hash}"
_FAILED: Final = (
    "no test of success: what was written from the wish failed its gate ({reason}), and the run goes on"
)
_READ: Final = (
    "Read the test of success before you believe it: experimenter show {run}, or the report. It is no figure of the "
    "judge."
)


def propose_success_test(ctx: RunContext) -> None:
    """Asks for a test once a run, where nothing says yet what success is. A planner that refuses leaves no trace."""
    wanted = ctx.settings.success_test == "auto"
    judge = ctx.card.judge
    # A goal that declares that only the return counts has a judge: nobody asked for more.
    if (
        wanted
        and ctx.parent is None
        and judge.kind == "none"
        and judge.declared_by != "goal"
        and _can_be_asked(ctx)
    ):
        ctx.once(TEST, 0, lambda: _proposed(ctx))


def _can_be_asked(ctx: RunContext) -> bool:
    """The built-in planners write no tests; a replay knows one only where the replayed run was asked for one."""
    archive = stored_archive(ctx.workspace, ctx.run)
    kind = WriteSuccessTest.kind
    if archive is not None:
        return any(exchange.kind == kind for exchange in archive.exchanges)
    planner = ctx.planner.planner_for(kind) if isinstance(ctx.planner, Routed) else ctx.planner
    return planner.name not in ("search", "random")


def frozen_test(ctx: RunContext) -> WordedTest | None:
    """The accepted test of this run, if it has one. Raises WorkspaceError when it is not what was frozen."""
    test = read_test(ctx.workspace.document(ctx.run, TEST))
    if test is None or test.state != "accepted":
        return None
    stored = ctx.stored(TEST, 0)
    if not test.is_frozen or stored["hash"] != test.hash:
        raise WorkspaceError(
            f"The success test of run {ctx.run} is not the one that was frozen.",
            "Restore the workspace from a backup.",
        )
    return test


def _proposed(ctx: RunContext) -> Outcome:
    """Asks, and asks again with what was wrong, as often as for any program that fails a check."""
    failed: str | None = None
    gate = Gate()
    attempts = 0
    while attempts <= ctx.settings.max_repairs:
        source = _asked(ctx, failed, gate.error)
        if source is None or source == failed:
            break
        gate = Gate.model_validate(
            ctx.once("success_gate", 0, lambda source=source: _gate(ctx, source), attempts)  # type: ignore[misc]
        )
        failed, attempts = source, attempts + 1
        if not gate.repairable:
            break
    if failed is None:
        return Outcome(value={"state": "none"})
    return _told(ctx, failed, gate, attempts)


def _asked(ctx: RunContext, failed: str | None, error: str) -> str | None:
    question = WriteSuccessTest(
        goal=ctx.record.goal,
        card=ctx.card,
        failed=failed,
        error=error,
        seed=seeds(ctx.seed, "planner", 1, TEST)[0],
    )
    try:
        answer = ctx.ask(question)
    except PlannerRefused:
        return None
    return answer.source if isinstance(answer, SuccessTest) else None


def _told(ctx: RunContext, source: str, gate: Gate, attempts: int) -> Outcome:
    test = WordedTest(
        state="accepted" if gate.passed else "refused",
        source=source,
        hash=frozen_hash(source),
        attempts=attempts,
        reason=gate.message,
        gate=gate,
    )
    words = (_PASSED if gate.passed else _FAILED).format(hash=test.hash[:12], reason=gate.reason)
    data = {"words": words, "state": test.state, "hash": test.hash, "reason": gate.message, "source": source}
    read = NewEvent(kind="note", data={"words": _READ.format(run=ctx.run)})
    return Outcome(
        value={"state": test.state, "hash": test.hash},
        documents={TEST: test.model_dump(mode="json")},
        events=(NewEvent(kind="success_test.proposed", data=data), *((read,) if gate.passed else ())),
    )


def _gate(ctx: RunContext, source: str) -> Outcome:
    gate = _checked(ctx, source)
    if gate.passed:
        gate = _must_fail(ctx, source, gate, "random")
    if gate.passed:
        gate = _must_fail(ctx, source, gate, "idle")
    return Outcome(value=gate.model_dump(mode="json"), spend=Ledger(eval_steps=gate.steps))


def _checked(ctx: RunContext, source: str) -> Gate:
    """What can be seen without the environment."""
    payload = {
        "source": source,
        "card": ctx.card.model_dump(mode="json"),
        "seed": seeds(ctx.seed, "probe", 1, TEST, "rows")[0],
        "allow_unsandboxed": ctx.settings.allow_unsandboxed,
    }
    result = run_one(ctx, "train", "check_test", payload)
    if not result.ok:
        return _broken(Gate(), result)
    gate = Gate.model_validate(result.value)
    if ctx.record.goal.judge_visibility == "hidden" and "native_reward" in gate.fields:
        hidden = {"reason": "static", "message": "t.native_reward is hidden in this run."}
        return gate.model_copy(update=hidden)
    return gate


def _must_fail(ctx: RunContext, source: str, gate: Gate, who: Literal["random", "idle"]) -> Gate:
    """The gate after episodes of those who must not succeed."""
    played = seeds(ctx.seed, "probe", EPISODES, TEST, who)
    with recorded(ctx, gate.fields, who, played, most_steps=MOST_STEPS) as (folder, found):
        if isinstance(found, JobResult):
            return _broken(gate, found)
        applied = apply_frozen(ctx, source, frozen_hash(source), folder, len(found.episodes))
    if isinstance(applied, JobResult):
        return _broken(gate, applied)
    tried = _tally(found, applied)
    gate = gate.model_copy(update={"random": tried[0]} if who == "random" else {"idle": tried})
    return _refuse_chance(gate, who, tried)


def _tally(found: Recorded, applied: Applied) -> tuple[Tried, ...]:
    rows: dict[str, list[int]] = {}
    for episode, met in zip(found.episodes, applied.met, strict=True):
        row = rows.setdefault(episode.name, [0, 0, 0])
        row[0] += episode.whole
        row[1] += met
        row[2] += episode.length
    return tuple(
        Tried(name=name, episodes=whole, met=met, steps=steps) for name, (whole, met, steps) in rows.items()
    )


def _refuse_chance(gate: Gate, who: Literal["random", "idle"], tried: tuple[Tried, ...]) -> Gate:
    worst = max(tried, key=lambda one: one.met)
    if not worst.met:
        return gate
    reason: Reason = "met by random actions" if who == "random" else "met by doing nothing"
    told = "random actions" if who == "random" else f"doing nothing ({worst.name})"
    message = f"It was met in {worst.met} of {max(worst.episodes, worst.met)} episodes of {told}."
    hint = "Be stricter: what is met without skill is no success."
    return gate.model_copy(update={"reason": reason, "message": message, "hint": hint})


def _broken(gate: Gate, result: JobResult) -> Gate:
    """The gate where a job failed: by the program's fault, or by whatever else."""
    reason: Reason = "contract" if result.error == ProgramRejected.__name__ else "recording"
    return gate.model_copy(update={"reason": reason, "message": result.message, "hint": result.hint})


@contextmanager
def recorded(
    ctx: RunContext,
    fields: tuple[str, ...],
    who: Literal["random", "idle", "policy"],
    played: tuple[int, ...],
    *,
    policy: PolicyRef | None = None,
    most_steps: int | None = None,
) -> Iterator[tuple[Path, Recorded | JobResult]]:
    """A folder with the recording of episodes in the run's own environment, for as long as it is needed.

    A job that failed is given back as it is. Raises what ``RunContext.heed`` raises.
    """
    mark = digest([who, list(fields), list(played), "" if policy is None else policy.hash])
    folder = ctx.folder / "temporary" / f"success_{mark}"
    shutil.rmtree(folder, ignore_errors=True)
    payload = {
        "environment": ctx.card.spec.model_dump(mode="json"),
        "who": who,
        "seeds": list(played),
        "features": [feature.model_dump(mode="json") for feature in ctx.card.features],
        "fields": list(fields),
        "folder": str(folder.absolute()),
        "policy_folder": "" if policy is None else str((ctx.workspace.root / policy.path).absolute()),
        "policy_hash": "" if policy is None else policy.hash,
        "most_steps": most_steps,
    }
    try:
        # Where policies are played no generated code is ever loaded: neither here nor in any job of this role.
        result = run_one(ctx, "film", "record", payload)
        yield folder, Recorded.model_validate(result.value) if result.ok else result
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def apply_frozen(
    ctx: RunContext, source: str, frozen: str, folder: Path, episodes: int
) -> Applied | JobResult:
    """What the test says of a recording; a job that failed is given back as it is."""
    payload = {
        "source": source,
        "hash": frozen,
        "folder": str(folder.absolute()),
        "episodes": episodes,
        "allow_unsandboxed": ctx.settings.allow_unsandboxed,
    }
    result = run_one(ctx, "train", "apply_test", payload)
    return Applied.model_validate(result.value) if result.ok else result


def run_one(ctx: RunContext, role: str, kind: str, payload: Mapping[str, Any]) -> JobResult:
    """One job in a worker process, begun anew where a pause interrupted it. Raises what ``RunContext.heed`` raises."""
    job = Job(
        id=digest([kind, payload]), kind=kind, payload=dict(payload), silence=ctx.settings.silence_seconds
    )
    while True:
        ctx.heed()
        ctx.wait_while_paused()
        found = list(ctx.executor.run([job], role=role, progress=lambda *_: None, interrupt=ctx.interrupted))
        if found:
            return found[0]
