"""How services answer: what a model says, as each of the three dialects puts it, with its tokens and errors."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from experimenter.testing.models.asked import Asked, Dialect

__all__ = ["Said", "Tokens", "error_body", "list_body", "reply_body"]


@dataclass(frozen=True, slots=True)
class Tokens:
    """As they are billed; ``cached`` and ``written`` (to the cache) are among ``input``."""

    input: int = 0
    output: int = 0
    cached: int = 0
    written: int = 0


@dataclass(frozen=True, slots=True)
class Said:
    """What the model says. ``tokens`` are counted from the texts unless given; ``finish`` may be ``length``."""

    text: str = ""
    refusal: str = ""
    finish: Literal["stop", "length"] = "stop"
    tokens: Tokens | None = None


def reply_body(asked: Asked, said: Said, tokens: Tokens) -> dict[str, Any]:
    """What the service answers with, in the request's dialect."""
    return {"responses": _say_responses, "chat": _say_chat, "messages": _say_messages}[asked.dialect](
        asked, said, tokens
    )


def _say_responses(asked: Asked, said: Said, tokens: Tokens) -> dict[str, Any]:
    part: dict[str, Any] = {"type": "output_text", "text": said.text, "annotations": []}
    if said.refusal:
        part = {"type": "refusal", "refusal": said.refusal}
    item: dict[str, Any] = {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "status": "completed",
        "content": [part],
    }
    if asked.rung == "tool" and not said.refusal:
        item = {
            "id": "fc_1",
            "type": "function_call",
            "call_id": "call_1",
            "name": asked.tool,
            "arguments": said.text,
        }
    cut = said.finish == "length"
    return {
        "id": "resp_1",
        "object": "response",
        "created_at": 0,
        "model": f"{asked.model}-2026",
        "status": "incomplete" if cut else "completed",
        "incomplete_details": {"reason": "max_output_tokens"} if cut else None,
        "error": None,
        "output": [{"id": "rs_1", "type": "reasoning", "summary": []}, item],
        "usage": {
            "input_tokens": tokens.input,
            "input_tokens_details": {"cached_tokens": tokens.cached, "cache_write_tokens": tokens.written},
            "output_tokens": tokens.output,
            "output_tokens_details": {"reasoning_tokens": 0},
            "total_tokens": tokens.input + tokens.output,
        },
    }


def _say_chat(asked: Asked, said: Said, tokens: Tokens) -> dict[str, Any]:
    message: dict[str, Any] = {"role": "assistant", "content": said.text, "refusal": None}
    finish = said.finish
    if said.refusal:
        message = {"role": "assistant", "content": None, "refusal": said.refusal}
    elif asked.rung == "tool":
        call = {"id": "call_1", "type": "function", "function": {"name": asked.tool, "arguments": said.text}}
        message = {"role": "assistant", "content": None, "tool_calls": [call]}
    return {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "created": 0,
        "model": f"{asked.model}-2026",
        "choices": [
            {
                "index": 0,
                "message": message,
                "finish_reason": "tool_calls" if "tool_calls" in message and finish == "stop" else finish,
            }
        ],
        "usage": {
            "prompt_tokens": tokens.input,
            "completion_tokens": tokens.output,
            "total_tokens": tokens.input + tokens.output,
            "prompt_tokens_details": {"cached_tokens": tokens.cached, "cache_write_tokens": tokens.written},
        },
    }


def _say_messages(asked: Asked, said: Said, tokens: Tokens) -> dict[str, Any]:
    block: dict[str, Any] = {"type": "text", "text": said.refusal or said.text}
    stop = {"stop": "end_turn", "length": "max_tokens"}[said.finish]
    if asked.rung == "tool" and not said.refusal:
        block = {"type": "tool_use", "id": "toolu_1", "name": asked.tool, "input": _arguments(said.text)}
        stop = "tool_use" if stop == "end_turn" else stop
    return {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "model": f"{asked.model}-2026",
        "content": [block],
        "stop_reason": "refusal" if said.refusal else stop,
        "stop_sequence": None,
        "usage": {
            "input_tokens": tokens.input - tokens.cached - tokens.written,
            "cache_read_input_tokens": tokens.cached,
            "cache_creation_input_tokens": tokens.written,
            "output_tokens": tokens.output,
        },
    }


def _arguments(text: str) -> Any:
    """This service sends a tool's arguments parsed; text that is no JSON it would not let through as such."""
    try:
        return json.loads(text)
    except ValueError:
        return {"unparsed": text}


def error_body(dialect: Dialect, kind: str, code: str, message: str) -> dict[str, Any]:
    """An error in the dialect's own form."""
    if dialect == "messages":
        return {"type": "error", "error": {"type": kind, "message": message}, "request_id": "req_1"}
    return {"error": {"message": message, "type": kind, "param": None, "code": code or None}}


def list_body(dialect: Dialect, models: Sequence[str]) -> dict[str, Any]:
    """The list of models; Anthropic's tells pages, the others do not."""
    if dialect == "messages":
        told = [{"type": "model", "id": one, "display_name": one, "created_at": "1970"} for one in models]
        ends = {"first_id": models[0] if models else None, "last_id": models[-1] if models else None}
        return {"data": told, "has_more": False, **ends}
    listed = [{"id": one, "object": "model", "created": 0, "owned_by": "fake"} for one in models]
    return {"object": "list", "data": listed}
