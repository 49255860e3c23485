"""The forecast in one line, before the first step."""

from __future__ import annotations

from typing import TYPE_CHECKING

from experimenter.report.lines import duration, number, rounded, time_range

if TYPE_CHECKING:
    from experimenter.budget import Forecast

__all__ = ["forecast_words"]


def forecast_words(forecast: Forecast) -> str:
    """Steps to search, confirm, compare and judge, then the time and money it may take."""
    steps = {
        "to search": forecast.search_env_steps,
        "to confirm": forecast.confirm_env_steps,
        "for controls": forecast.control_env_steps,
    }
    parts = [f"{number(count)} {what}" for what, count in steps.items() if count]
    words = f"up to {', '.join(parts)} (environment steps)"
    if forecast.eval_steps:
        words += f", about {_judging(forecast)} to judge"
    if forecast.seconds is not None:
        words += f", about {_time(forecast.seconds, forecast.seconds_low, forecast.seconds_high)}"
    if forecast.tokens:
        words += f", about {number(rounded(forecast.tokens))} tokens of language models"
    if forecast.dollars is None:
        words += ", at an unknown price"
    elif forecast.dollars:
        words += f", about ${forecast.dollars:.2f}"
    return f"{words}; {forecast.words}" if forecast.words else words


def _judging(forecast: Forecast) -> str:
    """Two significant digits: more would promise what nobody knows."""
    low, high = forecast.eval_steps_low, forecast.eval_steps_high
    if low is None or high is None:
        return number(forecast.eval_steps)
    few, many = number(rounded(low)), number(rounded(high))
    return few if few == many else f"{few} to {many}"


def _time(likely: float, low: float | None, high: float | None) -> str:
    return duration(likely) if low is None or high is None else time_range(low, high)
