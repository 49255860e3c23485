"""What crosses the border to a language model, whoever serves it: a request, a reply, and the contract of a client."""

from __future__ import annotations

from typing import Any, Literal, Protocol, runtime_checkable

from pydantic import ConfigDict, Field

from experimenter.records import Record

__all__ = [
    "Abilities",
    "Finish",
    "Message",
    "ModelClient",
    "ModelName",
    "ModelReply",
    "ModelRequest",
    "PassedOver",
    "Rung",
    "Usage",
]

Rung = Literal["native", "tool", "text"]
Finish = Literal["stop", "length", "tool", "refusal", "other"]


class ModelName(Record):
    """A model and who serves it; written ``provider:model``."""

    provider: str
    model: str

    def __str__(self) -> str:
        return f"{self.provider}:{self.model}"


class Abilities(Record):
    """What a client can be asked for: replies under a JSON schema, forced tool calls, images in the request."""

    native: bool = False
    tools: bool = False
    images: bool = False

    def rungs(self) -> tuple[Rung, ...]:
        """The rungs of the ladder that can be tried, the surest first."""
        return (*(("native",) if self.native else ()), *(("tool",) if self.tools else ()), "text")


class Message(Record):
    """One turn. ``images`` are whole PNG files, shown after the text; only a user's turn has any."""

    model_config = ConfigDict(ser_json_bytes="base64", val_json_bytes="base64")
    role: Literal["user", "assistant"]
    text: str
    images: tuple[bytes, ...] = ()


class ModelRequest(Record):
    """One call. ``rung`` says how the ``answer_schema`` is enforced; on the rung ``text`` it is not sent.

    ``kind``, ``question``, ``ordinal`` and ``call`` are labels that no service sees: the question's kind and id, how
    many questions of the kind the run asked before it, and how many calls were made for it before this one.
    """

    model_config = ConfigDict(ser_json_bytes="base64", val_json_bytes="base64")
    system: str = ""
    messages: tuple[Message, ...] = Field(min_length=1)
    answer_schema: dict[str, Any] | None = None
    rung: Rung = "text"
    max_tokens: int = Field(default=4096, ge=1)
    temperature: float | None = None
    kind: str = ""
    question: str = ""
    ordinal: int | None = None
    call: int = 0


class Usage(Record):
    """Tokens as the service counted them; ``None`` is unknown.

    ``input_tokens`` are all of the input; the cached ones and those written to a cache are among them.
    """

    input_tokens: int | None = None
    cached_input_tokens: int | None = None
    cache_write_tokens: int | None = None
    output_tokens: int | None = None

    @property
    def total(self) -> int | None:
        if self.input_tokens is None or self.output_tokens is None:
            return None
        return self.input_tokens + self.output_tokens


class PassedOver(Record):
    """A model of a fallback list that did not answer: why, and what it charged all the same."""

    model: ModelName
    kind: str
    why: str
    usage: Usage | None = None


class ModelReply(Record):
    """What a model said. ``text`` may be empty, cut or wrong: parsing judges it.

    ``model`` is the name that the service gives itself, ``answered_by`` the one that was asked for; ``refusal`` is
    non-empty where the model declined; ``seconds`` and ``attempts`` cover everything that the call took.
    """

    text: str
    refusal: str = ""
    finish: Finish = "stop"
    usage: Usage = Usage()
    model: str = ""
    answered_by: ModelName
    seconds: float = 0.0
    attempts: int = 1
    passed_over: tuple[PassedOver, ...] = ()


@runtime_checkable
class ModelClient(Protocol):
    """Whoever can be asked. Raises ``ModelFault``, or ``Stopped`` where the run was asked to stop meanwhile."""

    @property
    def name(self) -> ModelName: ...

    @property
    def abilities(self) -> Abilities: ...

    def complete(self, request: ModelRequest, seconds: float | None = None) -> ModelReply:
        """One reply within ``seconds`` of wall-clock in all (``None``: the client's own limit)."""
        ...
