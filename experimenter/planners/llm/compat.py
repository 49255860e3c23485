"""Models at any server that speaks ``chat.completions`` (Ollama, vLLM, llama.cpp, LM Studio), by OpenAI's library."""

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
from experimenter.planners.llm.reading import at, count, text
from experimenter.planners.llm.schemas import ANSWER, closed, plain
from experimenter.planners.llm.sdk import library
from experimenter.planners.llm.secret import PLACEHOLDER
from experimenter.planners.llm.statuses import fault_of_code
from experimenter.planners.llm.wire import Received, Wire

if TYPE_CHECKING:
    import httpx2

__all__ = ["CompatClient"]

_FINISHES: Final[dict[Any, Finish]] = {
    "stop": "stop",
    "length": "length",
    "tool_calls": "tool",
    "function_call": "tool",
    "content_filter": "refusal",
}


class CompatClient:
    """``ModelClient`` as ``openai-compat:MODEL`` and ``ollama:MODEL``.

    What such a server can do is known only when it is asked: it says ``bad_request`` to a rung that it lacks.
    """

    def __init__(self, wire: Wire) -> None:
        self._wire = wire

    @property
    def name(self) -> ModelName:
        return self._wire.name

    @property
    def abilities(self) -> Abilities:
        return Abilities(native=True, tools=True, images=True)

    def complete(self, request: ModelRequest, seconds: float | None = None) -> ModelReply:
        openai = library("openai", "openai", "resources.chat")
        fields = _fields(request, self.name.model)

        def send(http: httpx2.Client, left: float) -> httpx2.Response:
            client = openai.OpenAI(
                api_key=PLACEHOLDER,
                base_url=self._wire.endpoint.base_url,
                http_client=http,
                max_retries=0,
                timeout=left,
            )
            made = client.chat.completions.with_raw_response.create(**fields)
            response: httpx2.Response = made.http_response
            return response

        return self._reply(self._wire.call(send, openai.OpenAIError, self._error, seconds))

    def _error(self, body: dict[str, Any]) -> ModelFault | None:
        """Gateways report what failed behind them with status 200."""
        error = at(body, "error")
        if error is None or at(body, "choices"):
            return None
        code = text(at(error, "type")) or text(at(error, "code"))
        words = text(at(error, "message")) or text(error)
        return fault_of_code(code, words, self.name, self._wire.endpoint)

    def _reply(self, received: Received) -> ModelReply:
        body = received.body
        choice = at(body, "choices", 0)
        finish = _FINISHES.get(_hashable(at(choice, "finish_reason")), "other")
        refusal = text(at(choice, "message", "refusal"))
        if finish == "refusal" and not refusal:
            refusal = "The service's filter withheld the reply."
        called = text(at(choice, "message", "tool_calls", 0, "function", "arguments"))
        return ModelReply(
            text=called or text(at(choice, "message", "content")),
            refusal=refusal,
            finish="refusal" if refusal else finish,
            usage=_usage(body),
            model=text(at(body, "model")),
            answered_by=self.name,
            seconds=received.seconds,
            attempts=received.attempts,
        )


def _fields(request: ModelRequest, model: str) -> dict[str, Any]:
    system = [{"role": "system", "content": request.system}] if request.system else []
    fields: dict[str, Any] = {
        "model": model,
        "messages": [*system, *(_turn(message) for message in request.messages)],
        "max_tokens": request.max_tokens,
    }
    if request.temperature is not None:
        fields["temperature"] = request.temperature
    if request.answer_schema is None or request.rung == "text":
        return fields
    strict = closed(request.answer_schema)
    schema = strict or plain(request.answer_schema)
    if request.rung == "native":
        form = {"name": ANSWER, "schema": schema, "strict": strict is not None}
        return fields | {"response_format": {"type": "json_schema", "json_schema": form}}
    tool = {"type": "function", "function": {"name": ANSWER, "parameters": schema}}
    return fields | {"tools": [tool], "tool_choice": {"type": "function", "function": {"name": ANSWER}}}


def _turn(message: Message) -> dict[str, Any]:
    if message.role == "assistant" or not message.images:
        return {"role": message.role, "content": message.text}
    parts: list[dict[str, Any]] = [{"type": "text", "text": message.text}]
    for png in message.images:
        url = f"data:image/png;base64,{base64.b64encode(png).decode()}"
        parts.append({"type": "image_url", "image_url": {"url": url}})
    return {"role": "user", "content": parts}


def _hashable(value: Any) -> str | None:
    return value if isinstance(value, str) else None


def _usage(body: dict[str, Any]) -> Usage:
    usage = at(body, "usage")
    return Usage(
        input_tokens=count(at(usage, "prompt_tokens")),
        cached_input_tokens=count(at(usage, "prompt_tokens_details", "cached_tokens")),
        cache_write_tokens=count(at(usage, "prompt_tokens_details", "cache_write_tokens")),
        output_tokens=count(at(usage, "completion_tokens")),
    )
