"""The graph's state: ids and small scalars only, because LangGraph stores all of it at every step."""

from __future__ import annotations

from typing import TypedDict


class LoopState(TypedDict, total=False):
    """``ended`` says why the search is over (empty while it goes on); ``confirmed`` counts confirmations.

    ``designs`` counts what the latest design stop found: none where the planner refused.
    """

    run: str
    cycle: int
    designs: int
    ended: str
    confirmed: int
