"""The whole page: one file, no scripts, nothing fetched, and a policy that forbids both."""

from __future__ import annotations

import base64
import hashlib
from functools import cache
from importlib.resources import files

from experimenter.report.components import components_section
from experimenter.report.costs import card_section, costs_section
from experimenter.report.design import program_section
from experimenter.report.discards import discards_section
from experimenter.report.films import films_section
from experimenter.report.gather import ReportData
from experimenter.report.html import Html, el
from experimenter.report.knowledge import knowledge_section
from experimenter.report.more import More
from experimenter.report.planner import planner_section
from experimenter.report.reproduce import reproduce_section
from experimenter.report.search import search_section
from experimenter.report.success import success_section
from experimenter.report.verdict import curves_section, verdict_section

__all__ = ["page"]


@cache
def _style() -> str:
    return files("experimenter.report").joinpath("style.css").read_text(encoding="utf-8")


def _policy(style: str) -> str:
    """Only this very style sheet and embedded images may load."""
    mark = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    return (
        f"default-src 'none'; style-src 'sha256-{mark}'; img-src data:; base-uri 'none'; form-action 'none'"
    )


def page(data: ReportData, more: More) -> str:
    """The report of a run as an HTML document."""
    style = _style()
    policy = Html(_policy(style))
    head = el(
        "head",
        el("meta", charset="utf-8"),
        el("meta", http_equiv="Content-Security-Policy", content=policy),
        el("meta", name="viewport", content="width=device-width, initial-scale=1"),
        el("meta", name="color-scheme", content="light dark"),
        el("title", f"{data.record.goal.wish} · {data.record.id}"),
        el("style", Html(style)),
    )
    sections = (
        verdict_section(data),
        curves_section(data),
        films_section(more.films),
        success_section(data),
        program_section(data),
        components_section(data),
        search_section(data),
        discards_section(data),
        planner_section(data),
        knowledge_section(data, more),
        costs_section(data, more),
        card_section(data),
        reproduce_section(data, more),
    )
    foot = el("footer", f"Written by experimenter from run {data.record.id}. This file needs no network.")
    body = el("body", el("main", *sections), foot)
    return f"<!doctype html>\n{el('html', head, body, lang='en')}\n"
