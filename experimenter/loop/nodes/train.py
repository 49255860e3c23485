"""Stop 5: designs become trainings, by successive halving: each rung keeps the better half and doubles the steps."""

from __future__ import annotations

from collections.abc import Callable

from langgraph.runtime import Runtime

from experimenter.events import NewEvent
from experimenter.identity import seeds
from experimenter.loop.context import Outcome, RunContext, read_many
from experimenter.loop.nodes.check import checked
from experimenter.loop.plan import Rung, rungs
from experimenter.loop.state import LoopState
from experimenter.loop.trainings import Order, train_all
from experimenter.loop.view import standing
from experimenter.records import Candidate, Training


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
    ladder = rungs(len(alive), ctx.plan.design_steps, ctx.plan.chunk_steps)
    events: list[NewEvent] = []
    for number, rung in enumerate(ladder):
        alive = _drop(candidates, alive, rung.keep, number)
        if not alive:
            break
        _climb(ctx, cycle, candidates, alive, rung, number)
        alive = [index for index in alive if not candidates[index].discarded]
        events.append(_rung_event(cycle, number, rung, candidates, alive))
        if ctx.search_time_is_over() or not _worth_going_on(ctx, candidates, alive, number):
            break
    value = [item.model_dump(mode="json") for item in candidates]
    return Outcome(value=value, events=tuple(events))


def _climb(
    ctx: RunContext, cycle: int, candidates: list[Candidate], alive: list[int], rung: Rung, number: int
) -> None:
    orders = [_order(ctx, cycle, candidates[index], index, rung, number) for index in alive]
    trainings = train_all(ctx, orders, give_up=_search_clock(ctx))
    for index, training in zip(alive, trainings, strict=True):
        candidates[index] = _advance(candidates[index], training, number)


def _advance(candidate: Candidate, training: Training | None, rung: int) -> Candidate:
    if training is None:
        late = "" if candidate.training else "the search ran out of time before its first rung"
        return candidate.model_copy(update={"discarded": late})
    discarded = f"training failed: {training.error}" if training.status == "failed" else ""
    return candidate.model_copy(update={"training": training, "rung": rung, "discarded": discarded})


def _order(ctx: RunContext, cycle: int, candidate: Candidate, index: int, rung: Rung, number: int) -> Order:
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
    )


def target(ctx: RunContext) -> float | None:
    """What "solved" means for the IQM: ``--target``, else the environment's threshold, else nothing."""
    wanted = ctx.record.goal.target
    return ctx.card.reward_threshold if wanted is None else wanted


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


def _rung_event(
    cycle: int, number: int, rung: Rung, candidates: list[Candidate], alive: list[int]
) -> NewEvent:
    best = max((standing(candidates[i]) for i in alive), default=(float("-inf"), 0.0))
    data: dict[str, object] = {"cycle": cycle, "rung": number, "until": rung.until, "alive": len(alive)}
    data["best"] = None if best[0] == float("-inf") else best[0]
    return NewEvent(kind="rung.finished", data=data)
