"""The forecast in one line, before the first step."""

from __future__ import annotations

from typing import TYPE_CHECKING

from experimenter.report.lines import duration, number

if TYPE_CHECKING:
    from experimenter.budget import Forecast

__all__ = ["forecast_words"]


def forecast_words(forecast: Forecast) -> str:
    """Steps to search, confirm, compare and judge, then the time and money it may take."""
    steps = {
        "to search": forecast.search_env_steps,
        "to confirm": forecast.confirm_env_steps,
        "for controls": forecast.control_env_steps,
        "to judge": forecast.eval_steps,
    }
    parts = [f"{number(count)} {what}" for what, count in steps.items() if count]
    words = f"up to {', '.join(parts)} (environment steps)"
    if forecast.seconds is not None:
        words += f", about {duration(forecast.seconds)}"
    if forecast.dollars is None:
        words += ", at an unknown price"
    elif forecast.dollars:
        words += f", about ${forecast.dollars:.2f}"
    return f"{words}; {forecast.words}" if forecast.words else words
