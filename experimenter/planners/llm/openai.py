"""OpenAI's own models, through the official library's ``responses``."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Any

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

__all__ = ["OpenAIClient"]


class OpenAIClient:
    """``ModelClient`` as ``openai:MODEL``. Nothing is kept at OpenAI (``store=False``)."""

    def __init__(self, wire: Wire) -> None:
        self._wire = wire

    @property
    def name(self) -> ModelName:
        return self._wire.name

    @property
    def abilities(self) -> Abilities:
        return Abilities(native=True, tools=True, images=True)

    def complete(self, request: ModelRequest, seconds: float | None = None) -> ModelReply:
        openai = library("openai", "openai", "resources.responses")
        fields = _fields(request, self.name.model)

        def send(http: httpx2.Client, left: float) -> httpx2.Response:
            client = openai.OpenAI(
                api_key=PLACEHOLDER,
                base_url=self._wire.endpoint.base_url,
                http_client=http,
                max_retries=0,
                timeout=left,
            )
            response: httpx2.Response = client.responses.with_raw_response.create(**fields).http_response
            return response

        return self._reply(self._wire.call(send, openai.OpenAIError, self._error, seconds))

    def _error(self, body: dict[str, Any]) -> ModelFault | None:
        """A reply that failed comes with status 200."""
        error = at(body, "error")
        if error is None:
            return None
        return fault_of_code(
            text(at(error, "code")), text(at(error, "message")), self.name, self._wire.endpoint
        )

    def _reply(self, received: Received) -> ModelReply:
        body = received.body
        said, refusal, called = _output(body)
        return ModelReply(
            text=said,
            refusal=refusal,
            finish=_finish(body, refusal, called),
            usage=_usage(body),
            model=text(at(body, "model")),
            answered_by=self.name,
            seconds=received.seconds,
            attempts=received.attempts,
        )


def _fields(request: ModelRequest, model: str) -> dict[str, Any]:
    fields: dict[str, Any] = {
        "model": model,
        "input": [_turn(message) for message in request.messages],
        "max_output_tokens": request.max_tokens,
        "store": False,
    }
    if request.system:
        fields["instructions"] = request.system
    if request.temperature is not None:
        fields["temperature"] = request.temperature
    if request.answer_schema is None or request.rung == "text":
        return fields
    strict = closed(request.answer_schema)
    schema = strict or plain(request.answer_schema)
    if request.rung == "native":
        form = {"type": "json_schema", "name": ANSWER, "schema": schema, "strict": strict is not None}
        return fields | {"text": {"format": form}}
    tool = {"type": "function", "name": ANSWER, "parameters": schema, "strict": strict is not None}
    return fields | {"tools": [tool], "tool_choice": {"type": "function", "name": ANSWER}}


def _turn(message: Message) -> dict[str, Any]:
    if message.role == "assistant" or not message.images:
        return {"role": message.role, "content": message.text}
    parts: list[dict[str, Any]] = [{"type": "input_text", "text": message.text}]
    for png in message.images:
        url = f"data:image/png;base64,{base64.b64encode(png).decode()}"
        parts.append({"type": "input_image", "image_url": url, "detail": "auto"})
    return {"role": "user", "content": parts}


def _output(body: dict[str, Any]) -> tuple[str, str, bool]:
    """The text or a tool call's arguments, a refusal's words, and whether a tool was called."""
    said, refused, called = [], [], []
    for item in items(at(body, "output")):
        if at(item, "type") == "function_call":
            called.append(text(at(item, "arguments")))
        for part in items(at(item, "content")) if at(item, "type") == "message" else []:
            said.append(text(at(part, "text")) if at(part, "type") == "output_text" else "")
            refused.append(text(at(part, "refusal")))
    filtered = at(body, "incomplete_details", "reason") == "content_filter"
    refusal = "".join(refused) or ("The service's filter withheld the reply." if filtered else "")
    return "".join(called[:1]) or "".join(said), refusal, bool(called)


def _finish(body: dict[str, Any], refusal: str, called: bool) -> Finish:
    if refusal:
        return "refusal"
    if at(body, "incomplete_details", "reason") == "max_output_tokens":
        return "length"
    if at(body, "status") != "completed":
        return "other"
    return "tool" if called else "stop"


def _usage(body: dict[str, Any]) -> Usage:
    usage = at(body, "usage")
    return Usage(
        input_tokens=count(at(usage, "input_tokens")),
        cached_input_tokens=count(at(usage, "input_tokens_details", "cached_tokens")),
        cache_write_tokens=count(at(usage, "input_tokens_details", "cache_write_tokens")),
        output_tokens=count(at(usage, "output_tokens")),
    )
