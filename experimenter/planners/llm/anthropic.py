"""Anthropic's models, through the official library's ``messages``. That library knows no temperature: none is sent."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Any, Final

from experimenter.planners.llm.faults import ModelFault
from experimenter.planners.llm.model import (
    Abilities,
    Finish,
    Message,
    ModelName,
    ModelReply,
    ModelRequest,
    Usage,
)
from experimenter.planners.llm.reading import at, count, items, text
from experimenter.planners.llm.schemas import ANSWER, closed, plain
from experimenter.planners.llm.sdk import library
from experimenter.planners.llm.secret import PLACEHOLDER
from experimenter.planners.llm.statuses import fault_of_code
from experimenter.planners.llm.wire import Received, Wire

if TYPE_CHECKING:
    import httpx2

__all__ = ["AnthropicClient"]

_FINISHES: Final[dict[str, Finish]] = {
    "end_turn": "stop",
    "stop_sequence": "stop",
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
    "tool_use": "tool",
    "refusal": "refusal",
}


class AnthropicClient:
    """``ModelClient`` as ``anthropic:MODEL``. The system text is marked to be cached: it is what prompts share."""

    def __init__(self, wire: Wire) -> None:
        self._wire = wire

    @property
    def name(self) -> ModelName:
        return self._wire.name

    @property
    def abilities(self) -> Abilities:
        return Abilities(native=True, tools=True, images=True)

    def complete(self, request: ModelRequest, seconds: float | None = None) -> ModelReply:
        anthropic = library("anthropic", "anthropic", "resources.messages")
        fields = _fields(request, self.name)

        def send(http: httpx2.Client, left: float) -> httpx2.Response:
            client = anthropic.Anthropic(
                api_key=PLACEHOLDER,
                base_url=self._wire.endpoint.base_url,
                http_client=http,
                max_retries=0,
                timeout=left,
                open_telemetry=False,
            )
            made = client.messages.with_raw_response.create(**fields, timeout=left)
            response: httpx2.Response = made.http_response
            return response

        return self._reply(self._wire.call(send, anthropic.AnthropicError, self._error, seconds))

    def _error(self, body: dict[str, Any]) -> ModelFault | None:
        """Gateways report what failed behind them with status 200."""
        error = at(body, "error")
        if error is None and at(body, "type") != "error":
            return None
        return fault_of_code(
            text(at(error, "type")), text(at(error, "message")), self.name, self._wire.endpoint
        )

    def _reply(self, received: Received) -> ModelReply:
        body = received.body
        blocks = items(at(body, "content"))
        called = [text(at(block, "input")) for block in blocks if at(block, "type") == "tool_use"]
        said = [text(at(block, "text")) for block in blocks if at(block, "type") == "text"]
        finish = _FINISHES.get(text(at(body, "stop_reason")), "other")
        words = text(at(body, "stop_details", "explanation")) or "".join(said)
        return ModelReply(
            text="".join(called[:1]) or "".join(said),
            refusal=(words or "The model declined.") if finish == "refusal" else "",
            finish=finish,
            usage=_usage(body),
            model=text(at(body, "model")),
            answered_by=self.name,
            seconds=received.seconds,
            attempts=received.attempts,
        )


def _fields(request: ModelRequest, name: ModelName) -> dict[str, Any]:
    fields: dict[str, Any] = {
        "model": name.model,
        "messages": [_turn(message) for message in request.messages],
        "max_tokens": request.max_tokens,
    }
    if request.system:
        cached = {"type": "ephemeral"}
        fields["system"] = [{"type": "text", "text": request.system, "cache_control": cached}]
    if request.answer_schema is None or request.rung == "text":
        return fields
    if request.rung == "tool":
        tool = {"name": ANSWER, "input_schema": plain(request.answer_schema)}
        choice = {"type": "tool", "name": ANSWER, "disable_parallel_tool_use": True}
        return fields | {"tools": [tool], "tool_choice": choice}
    schema = closed(request.answer_schema)
    if schema is None:
        raise ModelFault(f"{name} takes no schema with open objects.", "Ask by a tool call.", "bad_request")
    return fields | {"output_config": {"format": {"type": "json_schema", "schema": schema}}}


def _turn(message: Message) -> dict[str, Any]:
    if message.role == "assistant" or not message.images:
        return {"role": message.role, "content": message.text}
    parts: list[dict[str, Any]] = [{"type": "text", "text": message.text}]
    for png in message.images:
        source = {"type": "base64", "media_type": "image/png", "data": base64.b64encode(png).decode()}
        parts.append({"type": "image", "source": source})
    return {"role": "user", "content": parts}


def _usage(body: dict[str, Any]) -> Usage:
    """Here alone the cached tokens are not among the input tokens, so they are added."""
    usage = at(body, "usage")
    fresh = count(at(usage, "input_tokens"))
    read, written = (count(at(usage, f"cache_{what}_input_tokens")) for what in ("read", "creation"))
    return Usage(
        input_tokens=None if fresh is None else fresh + (read or 0) + (written or 0),
        cached_input_tokens=read,
        cache_write_tokens=written,
        output_tokens=count(at(usage, "output_tokens")),
    )
