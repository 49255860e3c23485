"""Stop 5: designs become trainings, by successive halving: each rung keeps the better half and doubles the steps."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from langgraph.runtime import Runtime

from experimenter.events import NewEvent
from experimenter.identity import seeds
from experimenter.loop.contest import validation_seeds
from experimenter.loop.context import Outcome, RunContext, read_many
from experimenter.loop.judgings import judge_all
from experimenter.loop.nodes.check import checked
from experimenter.loop.orders import Order
from experimenter.loop.plan import Rung, rungs
from experimenter.loop.rivals import given_up, rival
from experimenter.loop.state import LoopState
from experimenter.loop.trainings import stored_training, train_all
from experimenter.loop.view import standing, target
from experimenter.records import Candidate, Design, Record, Training


class RungEnd(Record):
    """How a rung ended, in the order of those who climbed it: each training's step, ``None`` where time cut it off.

    ``go_on`` is stored because it may hang on the clock, and a resumed run must not decide it anew.
    """

    trained: tuple[str | None, ...]
    go_on: bool


def train(state: LoopState, runtime: Runtime[RunContext]) -> LoopState:
    ctx, cycle = runtime.context, state["cycle"]
    ctx.once("train", cycle, lambda: _train(ctx, cycle))
    return {"cycle": cycle}


def trained(ctx: RunContext, cycle: int) -> tuple[Candidate, ...]:
    """This cycle's candidates with their trainings, each as far as it got."""
    return read_many(Candidate, ctx.stored("train", cycle))


def _train(ctx: RunContext, cycle: int) -> Outcome:
    candidates = list(checked(ctx, cycle))
    alive = [index for index, item in enumerate(candidates) if not item.discarded]
    _judge_starts(ctx, cycle, [candidates[index].design for index in alive])
    ladder = rungs(len(alive), ctx.plan.design_steps, ctx.plan.chunk_steps)
    for number, rung in enumerate(ladder):
        alive = _drop(candidates, alive, rung.keep, number)
        if not alive:
            break
        go_on = _climb(ctx, cycle, candidates, alive, rung, number)
        alive = _still(candidates, alive)
        if not go_on:
            break
    return Outcome(value=[item.model_dump(mode="json") for item in candidates])


def _judge_starts(ctx: RunContext, cycle: int, designs: Sequence[Design]) -> None:
    """What a policy from memory is worth as it came, before anything trains beside it: no learning step is spent."""
    starts = [design.start for design in designs if design.start is not None]
    if starts:
        told = [(start, ctx.card.spec) for start in starts]
        judge_all(ctx, told, validation_seeds(ctx), cycle, f"t{cycle}:as it came")


def _climb(
    ctx: RunContext, cycle: int, candidates: list[Candidate], alive: list[int], rung: Rung, number: int
) -> bool:
    """Brings the candidates up one rung, a stored step whose end is told once; says whether to go on."""
    stored = ctx.once("rung", cycle, lambda: _rung(ctx, cycle, candidates, alive, rung, number), number)
    end = RungEnd.model_validate(stored)
    trainings = [None if step is None else stored_training(ctx, step) for step in end.trained]
    candidates[:] = _advanced(candidates, alive, trainings, number)
    return end.go_on


def _rung(
    ctx: RunContext, cycle: int, candidates: list[Candidate], alive: list[int], rung: Rung, number: int
) -> Outcome:
    orders = [_order(ctx, cycle, candidates, index, rung, number) for index in alive]
    trainings = train_all(ctx, orders, give_up=_search_clock(ctx))
    after = _advanced(candidates, alive, trainings, number)
    left = _still(after, alive)
    end = RungEnd(
        trained=tuple(None if training is None else training.step for training in trainings),
        go_on=not ctx.search_time_is_over()
        and _worth_going_on(ctx, after, left, number)
        and not _warm_start_is_there(ctx, after, left),
    )
    event = _rung_event(cycle, number, rung, after, left)
    return Outcome(value=end.model_dump(mode="json"), events=(event,))


def _still(candidates: list[Candidate], alive: list[int]) -> list[int]:
    return [index for index in alive if not candidates[index].discarded]


def _advanced(
    candidates: list[Candidate], alive: list[int], trainings: Sequence[Training | None], number: int
) -> list[Candidate]:
    after = list(candidates)
    for index, training in zip(alive, trainings, strict=True):
        after[index] = _advance(after[index], training, number)
    return after


def _advance(candidate: Candidate, training: Training | None, rung: int) -> Candidate:
    if training is None:
        late = "" if candidate.training else "the search ran out of time before its first rung"
        return candidate.model_copy(update={"discarded": late})
    discarded = f"training failed: {training.error}" if training.status == "failed" else given_up(training)
    return candidate.model_copy(update={"training": training, "rung": rung, "discarded": discarded})


def _order(
    ctx: RunContext, cycle: int, candidates: Sequence[Candidate], index: int, rung: Rung, number: int
) -> Order:
    candidate = candidates[index]
    return Order(
        design=candidate.design,
        seed=seeds(ctx.seed, ctx.train_role, 1, cycle)[0],
        until=rung.until,
        place=f"trials/t{cycle}/{index}-{candidate.design.name}",
        cycle=cycle,
        trial=f"t{cycle}",
        target=target(ctx),
        validation="search",
        rung=number,
        before=candidate.training,
        stopping=ctx.settings.early_stopping,
        rival=rival(ctx, cycle, candidates, index),
    )


def _search_clock(ctx: RunContext) -> Callable[[], bool]:
    return ctx.search_time_is_over if ctx.budget.seconds is not None else lambda: False


def _drop(candidates: list[Candidate], alive: list[int], keep: int, rung: int) -> list[int]:
    """The ``keep`` best go on; the others are discarded with the reason."""
    order = sorted(alive, key=lambda index: standing(candidates[index]), reverse=True)
    for index in order[keep:]:
        words = f"not among the best {keep} at rung {rung - 1}"
        candidates[index] = candidates[index].model_copy(update={"discarded": words})
    return sorted(order[:keep])


def _worth_going_on(ctx: RunContext, candidates: list[Candidate], alive: list[int], number: int) -> bool:
    """A design that is alone is cut short when half its steps left it no better than random actions."""
    if len(candidates) > 1 or not alive or number > 0:
        return bool(alive)
    training = candidates[alive[0]].training
    points = [p.true_return for p in training.curve if p.true_return is not None] if training else []
    return not points or max(points) > ctx.card.random.return_mean + 1e-9


def _warm_start_is_there(ctx: RunContext, candidates: list[Candidate], alive: list[int]) -> bool:
    """Whether a candidate that started warm is at the target; the rung was its test against scratch."""
    wanted = target(ctx)
    return wanted is not None and any(
        candidates[index].design.start is not None and standing(candidates[index])[0] >= wanted
        for index in alive
    )


def _rung_event(
    cycle: int, number: int, rung: Rung, candidates: list[Candidate], alive: list[int]
) -> NewEvent:
    best = max((standing(candidates[i]) for i in alive), default=(float("-inf"), 0.0))
    data: dict[str, object] = {"cycle": cycle, "rung": number, "until": rung.until, "alive": len(alive)}
    data["best"] = None if best[0] == float("-inf") else best[0]
    return NewEvent(kind="rung.finished", data=data)
