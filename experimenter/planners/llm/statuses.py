"""From an HTTP status and the words with it to a typed fault: every service says the same things in its own way."""

from __future__ import annotations

import datetime
import email.utils
import json
import math
from collections.abc import Mapping
from typing import Any, Final

from experimenter.planners.llm.endpoints import Endpoint
from experimenter.planners.llm.faults import FaultKind, ModelFault
from experimenter.planners.llm.model import ModelName
from experimenter.planners.llm.reading import at, clean

__all__ = ["fault_of_code", "fault_of_status", "seconds_to_wait"]

_QUOTED: Final = 300
_BY_STATUS: Final[dict[int, FaultKind]] = {
    401: "bad_key",
    402: "over_quota",
    403: "bad_key",
    404: "unknown_model",
    408: "unavailable",
    409: "unavailable",
    413: "too_large",
    429: "rate_limited",
}
_QUOTA: Final = ("insufficient_quota", "billing", "credit balance", "exceeded your current quota")
_CONTEXT: Final = ("context_length_exceeded", "context length", "context window", "prompt is too long")
_MODEL: Final = ("model_not_found", "does not exist or you do not have access", "model not found")
_KEY: Final = ("invalid_api_key", "api_key_invalid", "api key not valid", "incorrect api key")


def fault_of_status(
    status: int, headers: Mapping[str, str], content: bytes, name: ModelName, endpoint: Endpoint
) -> ModelFault:
    """What a status that is no success means; the service's own words are quoted, cut and without the key."""
    body = _json(content)
    kind = _kind(status, body)
    said = _words(body)
    message, hint = _sentence(kind, status, body is not None, name, endpoint)
    quoted = f" It says: {endpoint.scrub(said)}" if said else ""
    return ModelFault(message + quoted, hint, kind, seconds_to_wait(headers))


def fault_of_code(code: str, words: str, name: ModelName, endpoint: Endpoint) -> ModelFault:
    """What an error means that came with status 200, by its code, as some services and gateways send it."""
    kinds: dict[str, FaultKind] = {
        "rate_limit_exceeded": "rate_limited",
        "insufficient_quota": "over_quota",
        "server_error": "unavailable",
        "overloaded_error": "unavailable",
        "api_error": "unavailable",
    }
    kind = kinds.get(code, "bad_request")
    quoted = f" It says: {endpoint.scrub(_line(words))}" if words else ""
    return ModelFault(
        f"{name} answers with an error ({endpoint.scrub(_line(code)) or 'unnamed'}).{quoted}", kind=kind
    )


def seconds_to_wait(headers: Mapping[str, str]) -> float | None:
    """``retry-after``, in seconds or as a date, or ``retry-after-ms``; ``None`` if none makes sense."""
    for header, unit in (("retry-after-ms", 0.001), ("retry-after", 1.0)):
        try:
            seconds = float(headers.get(header, "")) * unit
        except ValueError:
            continue
        if math.isfinite(seconds):
            return max(seconds, 0.0)
    try:
        date = email.utils.parsedate_to_datetime(headers.get("retry-after", ""))
        now = datetime.datetime.now(date.tzinfo)
        return max((date - now).total_seconds(), 0.0)
    except (ValueError, TypeError, OverflowError):
        return None


def _json(content: bytes) -> Any:
    try:
        return json.loads(content)
    except (ValueError, RecursionError):
        return None


def _kind(status: int, body: Any) -> FaultKind:
    if status >= 500:
        return "unavailable"
    words = f"{_code(body)} {_words(body)}".lower()
    if 400 <= status < 500:
        for kind, marks in (
            ("over_quota", _QUOTA),
            ("too_large", _CONTEXT),
            ("unknown_model", _MODEL),
            ("bad_key", _KEY),
        ):
            if any(mark in words for mark in marks):
                return kind  # type: ignore[return-value]
    if status == 404 and "model" not in words:
        return "bad_request"
    return _BY_STATUS.get(status, "bad_request")


def _code(body: Any) -> str:
    error = at(body, "error")
    return " ".join(str(at(error, key) or "")[:100] for key in ("code", "type"))


def _words(body: Any) -> str:
    """The designated message and nothing else of the body, which may hold anything."""
    for found in (at(body, "error", "message"), at(body, "error"), at(body, "message"), at(body, "detail")):
        if isinstance(found, str) and found.strip():
            return _line(found)
    return ""


def _line(text: str) -> str:
    line = " ".join("".join(c if c.isprintable() else " " for c in clean(text[: 4 * _QUOTED])).split())
    return line if len(line) <= _QUOTED else f"{line[:_QUOTED]}…"


def _sentence(
    kind: FaultKind, status: int, is_json: bool, name: ModelName, endpoint: Endpoint
) -> tuple[str, str]:
    """Message and hint; an empty hint is the kind's own."""
    pull = f"Get it with: ollama pull {name.model}" if name.provider == "ollama" else ""
    by_kind = {
        "rate_limited": (f"{name} is asked too often (status {status}).", ""),
        "over_quota": (f"The account that pays for {name} has no credit left (status {status}).", ""),
        "unavailable": (f"{name} is out of order (status {status}).", ""),
        "too_large": (f"The request is too long for {name} (status {status}).", ""),
        "unknown_model": (f"There is no model {name.model} at {endpoint.base_url} (status {status}).", pull),
        "bad_key": (
            f"{name} refuses the key (status {status}).",
            f"Check {endpoint.key_from}." if endpoint.key_from else "The server wants a key.",
        ),
    }
    if kind in by_kind:
        return by_kind[kind]
    if 300 <= status < 400:
        return f"{endpoint.base_url} sends us to another address (status {status}).", "Correct the base URL."
    if status == 404 or not is_json:
        hint = "Check the base URL; a server other than OpenAI's own is asked as openai-compat:MODEL."
        return f"{endpoint.base_url} is no address where {name} is asked (status {status}).", hint
    return f"{name} does not take the request (status {status}).", ""
