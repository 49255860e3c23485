"""How services are asked: OpenAI's responses, chat.completions, Anthropic's messages.

Requests are checked as strictly as the services check them: what they would not take is a BadRequest here.
"""

from __future__ import annotations

import base64
import binascii
from dataclasses import dataclass, field
from typing import Any, Final, Literal

__all__ = ["PATHS", "Asked", "BadRequest", "Dialect", "Rung", "read_request"]

Rung = Literal["native", "tool", "text"]
Dialect = Literal["responses", "chat", "messages"]
PATHS: Final[dict[str, Dialect]] = {
    "/v1/responses": "responses",
    "/v1/chat/completions": "chat",
    "/v1/messages": "messages",
}
_PNG: Final = b"\x89PNG\r\n\x1a\n"
_FIELDS: Final[dict[Dialect, frozenset[str]]] = {
    "responses": frozenset(
        {
            "model",
            "input",
            "instructions",
            "max_output_tokens",
            "store",
            "temperature",
            "text",
            "tools",
            "tool_choice",
        }
    ),
    "chat": frozenset(
        {"model", "messages", "max_tokens", "temperature", "response_format", "tools", "tool_choice"}
    ),
    "messages": frozenset(
        {"model", "messages", "max_tokens", "system", "output_config", "tools", "tool_choice"}
    ),
}


class BadRequest(Exception):
    """What a service would answer with status 400."""


@dataclass(frozen=True, slots=True)
class Asked:
    """A request as it arrived: the raw ``body`` and ``headers`` (lower case), and what they say in any dialect."""

    dialect: Dialect
    headers: dict[str, str]
    body: dict[str, Any]
    model: str
    system: str
    turns: tuple[tuple[str, str], ...]
    images: tuple[bytes, ...]
    rung: Rung
    schema: dict[str, Any] | None
    max_tokens: int
    strict: bool = False
    tool: str = ""

    @property
    def key(self) -> str:
        return self.headers.get("x-api-key") or self.headers.get("authorization", "").removeprefix("Bearer ")

    def tokens(self) -> int:
        """Made up, but the same every time: one for every four bytes of text, 85 for an image."""
        texts = [self.system, *(text for _, text in self.turns)]
        return sum(-(-len(text.encode()) // 4) for text in texts) + 85 * len(self.images)


@dataclass
class _Read:
    turns: list[tuple[str, str]] = field(default_factory=list)
    images: list[bytes] = field(default_factory=list)


def read_request(dialect: Dialect, headers: dict[str, str], body: Any) -> Asked:
    """Raises BadRequest for what the service would not take."""
    if not isinstance(body, dict):
        raise BadRequest("The body is no JSON object.")
    if unknown := sorted(set(body) - _FIELDS[dialect]):
        raise BadRequest(f"{unknown[0]}: Extra inputs are not permitted")
    if not isinstance(body.get("model"), str):
        raise BadRequest("model: Field required")
    reader = {"responses": _responses, "chat": _chat, "messages": _messages}[dialect]
    return reader(headers, body)


def _responses(headers: dict[str, str], body: dict[str, Any]) -> Asked:
    read = _Read()
    _turns(body.get("input"), ("user", "assistant"), "input_text", _input_image, read)
    form = body.get("text", {}).get("format", {})
    tool = _only_tool(body)
    _must(
        not tool or body.get("tool_choice") == {"type": "function", "name": tool.get("name")}, "tool_choice"
    )
    _must(not form or form.get("type") == "json_schema", "text.format")
    chosen = form or tool
    schema = form.get("schema") if form else tool.get("parameters")
    strict = bool(chosen.get("strict"))
    _must(not strict or _is_closed(schema), "schema: 'additionalProperties' is required to be false")
    rung: Rung = "native" if form else "tool" if tool else "text"
    system, most = body.get("instructions", ""), body.get("max_output_tokens", 0)
    name = chosen.get("name", "")
    return _asked("responses", headers, body, read, system, rung, schema, most, strict, name)


def _chat(headers: dict[str, str], body: dict[str, Any]) -> Asked:
    read = _Read()
    messages: Any = body.get("messages")
    _must(isinstance(messages, list) and bool(messages), "messages")
    system = [one["content"] for one in messages if one.get("role") == "system"]
    rest = [one for one in messages if one.get("role") != "system"]
    _turns(rest, ("user", "assistant"), "text", _image_url, read)
    form = body.get("response_format", {}).get("json_schema", {})
    tool = _only_tool(body).get("function", {})
    choice = {"type": "function", "function": {"name": tool.get("name")}}
    _must(not tool or body.get("tool_choice") == choice, "tool_choice")
    strict = bool(form.get("strict"))
    schema = form.get("schema") if form else tool.get("parameters")
    _must(not strict or _is_closed(schema), "schema: 'additionalProperties' is required to be false")
    rung: Rung = "native" if form else "tool" if tool else "text"
    name, most = (form or tool).get("name", ""), body.get("max_tokens", 0)
    return _asked("chat", headers, body, read, "".join(system), rung, schema, most, strict, name)


def _messages(headers: dict[str, str], body: dict[str, Any]) -> Asked:
    read = _Read()
    _must(bool(headers.get("anthropic-version")), "anthropic-version: header is required")
    _must(isinstance(body.get("max_tokens"), int) and body["max_tokens"] > 0, "max_tokens: Field required")
    _turns(body.get("messages"), ("user", "assistant"), "text", _image_source, read)
    system = "".join(block["text"] for block in body.get("system", []) if block.get("type") == "text")
    form = body.get("output_config", {}).get("format", {})
    tool = _only_tool(body)
    choice = body.get("tool_choice", {})
    _must(not tool or (choice.get("type"), choice.get("name")) == ("tool", tool.get("name")), "tool_choice")
    schema = form.get("schema") if form else tool.get("input_schema")
    _must(not form or _is_closed(schema), "output_config.format.schema: 'additionalProperties' must be false")
    rung: Rung = "native" if form else "tool" if tool else "text"
    name = tool.get("name", "")
    return _asked("messages", headers, body, read, system, rung, schema, body["max_tokens"], bool(form), name)


def _asked(
    dialect: Dialect,
    headers: dict[str, str],
    body: dict[str, Any],
    read: _Read,
    system: str,
    rung: Rung,
    schema: dict[str, Any] | None,
    most: int,
    strict: bool,
    name: str,
) -> Asked:
    turns, images = tuple(read.turns), tuple(read.images)
    return Asked(
        dialect, headers, body, body["model"], system, turns, images, rung, schema, most, strict, name
    )


def _must(holds: bool, what: str) -> None:
    if not holds:
        raise BadRequest(f"{what}: Input is not as it should be")


def _only_tool(body: dict[str, Any]) -> dict[str, Any]:
    tools = body.get("tools", [])
    _must(isinstance(tools, list) and len(tools) <= 1, "tools")
    tool: dict[str, Any] = tools[0] if tools else {}
    return tool


def _turns(given: Any, roles: tuple[str, ...], text_type: str, image_of: Any, read: _Read) -> None:
    _must(isinstance(given, list) and bool(given), "messages")
    for turn in given:
        _must(isinstance(turn, dict) and turn.get("role") in roles, "messages: role")
        content = turn.get("content")
        parts = [{"type": text_type, "text": content}] if isinstance(content, str) else content
        _must(isinstance(parts, list) and bool(parts), "messages: content")
        texts = [part["text"] for part in parts if part.get("type") == text_type]
        read.turns.append((turn["role"], "".join(texts)))
        for part in parts:
            if part.get("type") != text_type:
                _must(turn["role"] == "user", "messages: image")
                read.images.append(image_of(part))


def _input_image(part: dict[str, Any]) -> bytes:
    _must(part.get("type") == "input_image" and part.get("detail") in ("auto", "low", "high"), "input_image")
    return _data_url(part.get("image_url"))


def _image_url(part: dict[str, Any]) -> bytes:
    _must(part.get("type") == "image_url" and isinstance(part.get("image_url"), dict), "image_url")
    return _data_url(part["image_url"].get("url"))


def _image_source(part: dict[str, Any]) -> bytes:
    source = part.get("source", {})
    _must(part.get("type") == "image" and source.get("type") == "base64", "image.source")
    _must(source.get("media_type") == "image/png", "image.source.media_type")
    return _png(source.get("data"))


def _data_url(url: Any) -> bytes:
    head = "data:image/png;base64,"
    _must(isinstance(url, str) and url.startswith(head), "image_url")
    return _png(url[len(head) :])


def _png(data: Any) -> bytes:
    try:
        image = base64.b64decode(data, validate=True)
    except (binascii.Error, TypeError, ValueError):
        raise BadRequest("image: Could not process image") from None
    _must(image.startswith(_PNG), "image: Could not process image")
    return image


def _is_closed(schema: Any) -> bool:
    """As strict modes want it: every object closed, every property required, no bounds."""
    if isinstance(schema, list):
        return all(map(_is_closed, schema))
    if not isinstance(schema, dict):
        return True
    if schema.get("type") == "object":
        names = list(schema.get("properties", {}))
        if schema.get("additionalProperties") is not False or sorted(schema.get("required", [])) != sorted(
            names
        ):
            return False
    unsaid = {"minItems", "maxItems", "minimum", "maximum", "pattern", "default", "prefixItems"}
    return not unsaid & set(schema) and all(
        _is_closed(one)
        for key, value in schema.items()
        for one in (value.values() if key in ("properties", "$defs") else [value])
    )
