"""The loop as a LangGraph: ten stops, then confirmation, controls and the verdict."""

from __future__ import annotations

import itertools
import os
from typing import Any

os.environ.setdefault("LANGGRAPH_STRICT_MSGPACK", "true")

from langgraph.checkpoint.sqlite import SqliteSaver
from langgraph.graph import END, START, StateGraph

from experimenter.loop.context import RunContext
from experimenter.loop.nodes.check import check
from experimenter.loop.nodes.conclude import conclude
from experimenter.loop.nodes.confirm import confirm, route_confirm
from experimenter.loop.nodes.control import control
from experimenter.loop.nodes.decide import decide, route_decide
from experimenter.loop.nodes.design import design, route_design
from experimenter.loop.nodes.diagnose import diagnose
from experimenter.loop.nodes.judge import judge
from experimenter.loop.nodes.propose import propose
from experimenter.loop.nodes.recall import recall
from experimenter.loop.nodes.reflect import reflect
from experimenter.loop.nodes.remember import remember
from experimenter.loop.nodes.train import train
from experimenter.loop.state import LoopState

STOPS = (recall, propose, design, check, train, judge, diagnose, reflect, remember, decide)
ENDING = (confirm, control, conclude)
# After these no training is under way whose length the budget decided.
SETTLED = frozenset({"decide", "confirm", "control"})


def build() -> StateGraph[LoopState, RunContext]:
    """The uncompiled graph; also what ``langgraph.json`` names."""
    graph: StateGraph[LoopState, RunContext] = StateGraph(LoopState, context_schema=RunContext)
    for stop in (*STOPS, *ENDING):
        graph.add_node(stop.__name__, stop)
    graph.add_edge(START, "recall")
    graph.add_edge("recall", "propose")
    graph.add_conditional_edges("propose", route_propose, ["design", "confirm"])
    graph.add_conditional_edges("design", route_design, ["check", "recall", "confirm"])
    for before, after in itertools.pairwise(STOPS[3:]):
        graph.add_edge(before.__name__, after.__name__)
    graph.add_conditional_edges("decide", route_decide, ["recall", "confirm"])
    graph.add_conditional_edges("confirm", route_confirm, ["recall", "control"])
    graph.add_edge("control", "conclude")
    graph.add_edge("conclude", END)
    return graph


def route_propose(state: LoopState) -> str:
    """Onward while there is an idea, else to confirmation."""
    return "confirm" if state.get("ended") else "design"


def drive(ctx: RunContext) -> bool:
    """Runs the graph of one run to its end, from its last checkpoint where there is one.

    Returns false when it left before the end, because a larger budget waits and this is the place to begin with it.
    Checkpoints only say where the loop stood. Without them it starts at the first cycle and finds every finished
    step in the workspace.
    """
    ctx.folder.mkdir(parents=True, exist_ok=True)
    thread = f"{ctx.run}:{ctx.plan.epoch}"
    config: Any = {"configurable": {"thread_id": thread}, "recursion_limit": 100_000}
    with SqliteSaver.from_conn_string(str(ctx.folder / "graph.sqlite")) as saver:
        graph = build().compile(checkpointer=saver)
        begun = graph.get_state(config).next
        start = None if begun else _beginning(ctx)
        for update in graph.stream(start, config, context=ctx, stream_mode="updates", durability="sync"):
            if "decide" in update:
                _prune(saver, thread)
                ctx.workspace.project_events(ctx.run)
            if not SETTLED.isdisjoint(update) and ctx.parent is None and ctx.listener.larger_budget_waits():
                return False
    return True


def _beginning(ctx: RunContext) -> Any:
    """The first cycle; after the budget was raised, the last one, so that its decision is taken again."""
    state: LoopState = {"run": ctx.run, "cycle": 0, "ended": "", "confirmed": 0}
    if ctx.plan.epoch:
        winner = ctx.workspace.document(ctx.run, "winner")
        state["cycle"] = max((trial.cycle for trial in ctx.trials()), default=0)
        state["confirmed"] = 0 if winner is None else int(winner["number"]) + 1
    return state


def _prune(saver: SqliteSaver, thread: str) -> None:
    """Keeps the latest checkpoints only; LangGraph itself never forgets one."""
    kept = [item.config["configurable"]["checkpoint_id"] for item in saver.list(_thread(thread), limit=3)]
    with saver.cursor() as cursor:
        for table in ("checkpoints", "writes"):
            marks = ",".join("?" * len(kept))
            cursor.execute(
                f"DELETE FROM {table} WHERE thread_id = ? AND checkpoint_id NOT IN ({marks})",
                (thread, *kept),
            )


def _thread(thread: str) -> Any:
    return {"configurable": {"thread_id": thread}}
