"""Which providers can be asked from here, and which models their services list.

The first is told from the environment alone, without sending anything; the second takes one call, in the same
surroundings as any other: deadline, byte cap, back-off, and a key that shows itself nowhere.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

from experimenter.errors import ConfigError, UsageError, did_you_mean
from experimenter.planners.llm.endpoints import endpoint_for
from experimenter.planners.llm.faults import ModelFault
from experimenter.planners.llm.model import ModelName
from experimenter.planners.llm.names import PROVIDERS
from experimenter.planners.llm.reading import at, items, text
from experimenter.planners.llm.sdk import library
from experimenter.planners.llm.secret import PLACEHOLDER
from experimenter.planners.llm.statuses import fault_of_code
from experimenter.planners.llm.wire import Limits, Send, Surroundings, Wire

if TYPE_CHECKING:
    import httpx2

__all__ = ["Listed", "Provider", "list_models", "provider_of", "providers"]

_LIBRARY: Final[dict[str, str]] = {
    "openai": "openai",
    "anthropic": "anthropic",
    "ollama": "openai",
    "openai-compat": "openai",
}
"""The official library that speaks to each service; the extra that installs it has the same name."""

_USUAL: Final = Limits(seconds=30.0)
_LONGEST_NAME: Final = 300
_MOST: Final = 1000


@dataclass(frozen=True, slots=True)
class Provider:
    """What is known of a provider without asking it. ``missing`` says in words what keeps it from being asked."""

    name: str
    about: str
    ready: bool
    base_url: str = ""
    key: str = ""
    missing: str = ""


@dataclass(frozen=True, slots=True)
class Listed:
    """The models that a service lists; ``more`` when it has more of them than it told."""

    provider: str
    base_url: str
    models: tuple[str, ...]
    more: bool = False


def providers(environ: Mapping[str, str] | None = None) -> tuple[Provider, ...]:
    """Every provider, by the environment alone. A key is told by its variable's name, never by what is in it."""
    return tuple(provider_of(name, environ) for name in PROVIDERS)


def provider_of(name: str, environ: Mapping[str, str] | None = None) -> Provider:
    """One provider by the environment alone. Raises ConfigError (with did-you-mean) for a name that is none."""
    if name not in PROVIDERS:
        hint = did_you_mean(name, PROVIDERS) or f"There are {', '.join(PROVIDERS)}."
        raise ConfigError(f"There is no provider {name!r}.", hint)
    told = Provider(name, PROVIDERS[name], ready=True)
    if name == "scripted":
        return told
    try:
        endpoint = endpoint_for(name, environ)
    except (ModelFault, ConfigError) as cause:
        return replace(told, ready=False, missing=f"{cause.message} {_not_a_planner(cause)}".strip())
    told = replace(told, base_url=endpoint.base_url, key=_key_words(endpoint.key_from, endpoint.key))
    if importlib.util.find_spec(_LIBRARY[name]) is None:
        hint = f"Its extra is not installed: pip install 'rl-experimenter[{_LIBRARY[name]}]'"
        return replace(told, ready=False, missing=hint)
    return told


def list_models(
    provider: str,
    environ: Mapping[str, str] | None = None,
    limits: Limits | None = None,
    surroundings: Surroundings | None = None,
) -> Listed:
    """What the provider's service lists, by name in their order.

    Raises ModelFault, ConfigError, and UsageError for a provider that has no service.
    """
    provider_of(provider, environ)
    if provider == "scripted":
        raise UsageError(
            "A scripted model is a file, and no service lists it.", "Name the file: scripted:FILE."
        )
    name = ModelName(provider=provider, model="models")
    wire = Wire(name, endpoint_for(provider, environ), limits or _USUAL, surroundings)
    send = _send_anthropic(wire) if provider == "anthropic" else _send_openai(wire)
    module = library(_LIBRARY[provider], _LIBRARY[provider], "resources.models")
    error = module.AnthropicError if provider == "anthropic" else module.OpenAIError
    body = wire.call(send, error, lambda body: _error(body, name, wire)).body
    found = dict.fromkeys(filter(_is_name, (text(at(one, "id")) for one in items(at(body, "data")))))
    names = tuple(sorted(found))
    more = at(body, "has_more") is True or len(names) > _MOST
    return Listed(provider, wire.endpoint.base_url, names[:_MOST], more)


def _send_openai(wire: Wire) -> Send:
    openai = library("openai", "openai", "resources.models")

    def send(http: httpx2.Client, left: float) -> httpx2.Response:
        client = openai.OpenAI(
            api_key=PLACEHOLDER,
            base_url=wire.endpoint.base_url,
            http_client=http,
            max_retries=0,
            timeout=left,
        )
        response: httpx2.Response = client.models.with_raw_response.list().http_response
        return response

    return send


def _send_anthropic(wire: Wire) -> Send:
    anthropic = library("anthropic", "anthropic", "resources.models")

    def send(http: httpx2.Client, left: float) -> httpx2.Response:
        client = anthropic.Anthropic(
            api_key=PLACEHOLDER,
            base_url=wire.endpoint.base_url,
            http_client=http,
            max_retries=0,
            timeout=left,
            open_telemetry=False,
        )
        made = client.models.with_raw_response.list(limit=_MOST, timeout=left)
        response: httpx2.Response = made.http_response
        return response

    return send


def _error(body: dict[str, Any], name: ModelName, wire: Wire) -> ModelFault | None:
    """A success that is an error all the same, or no list."""
    error = at(body, "error")
    if error is not None:
        code = text(at(error, "type")) or text(at(error, "code"))
        return fault_of_code(code, text(at(error, "message")) or text(error), name, wire.endpoint)
    if not isinstance(at(body, "data"), list):
        return ModelFault(f"{wire.endpoint.base_url} answers with no list of models.", kind="malformed")
    return None


def _is_name(name: str) -> bool:
    return 0 < len(name) <= _LONGEST_NAME and name.isprintable()


def _key_words(variable: str, key: object | None) -> str:
    if not variable:
        return "needs no key"
    return f"{variable} is set" if key is not None else f"{variable} is not set, and may not be needed"


def _not_a_planner(cause: ModelFault | ConfigError) -> str:
    """The hint, where it is about the provider and not about what else could plan."""
    return cause.hint if isinstance(cause, ConfigError) or cause.kind == "bad_key" else ""
