"""Models by name: ``provider:model``, the roles that models play, and aliases; fallbacks are lists of names."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final, Literal

from experimenter.errors import ConfigError, did_you_mean
from experimenter.planners.llm.model import ModelName

__all__ = ["PROVIDERS", "ROLES", "Names", "Role", "parse_model", "parse_models", "resolve_role"]

Role = Literal["planner", "coder", "judge", "summary"]
Names = str | Sequence[str]
ROLES: Final[tuple[Role, ...]] = ("planner", "coder", "judge", "summary")
PROVIDERS: Final[dict[str, str]] = {
    "openai": "OpenAI's own service",
    "anthropic": "Anthropic's own service",
    "ollama": "an Ollama server, this machine's unless OLLAMA_HOST says otherwise",
    "openai-compat": "any server that speaks chat.completions: vLLM, llama.cpp, LM Studio",
    "scripted": "answers from a file",
}
_EXAMPLE: Final = "Write provider:model, for example ollama:llama3.1 or openai:gpt-5."
_LONGEST: Final = 300


def parse_model(text: str) -> ModelName:
    """``provider:model``; what stands after the first colon is the model's, colons included. Raises ConfigError."""
    provider, colon, model = text.strip().partition(":")
    if not colon or not provider:
        raise ConfigError(f"{text!r} names no model.", _EXAMPLE)
    if provider not in PROVIDERS:
        known = f"There are {', '.join(PROVIDERS)}."
        raise ConfigError(f"There is no provider {provider!r}.", did_you_mean(provider, PROVIDERS) or known)
    if not model or len(model) > _LONGEST or not model.isprintable() or model != model.strip():
        raise ConfigError(f"{text!r} names a provider, but no model.", _EXAMPLE)
    return ModelName(provider=provider, model=model)


def parse_models(names: Names, aliases: Mapping[str, Names] | None = None) -> tuple[ModelName, ...]:
    """A model and its fallbacks, in the order in which they are tried, each once.

    ``names`` is one name, several with commas between them, or a list; each is ``provider:model`` or an alias, which
    stands for names in turn. Raises ConfigError for an alias that leads back to itself.
    """
    found = dict.fromkeys(_expand(names, aliases or {}, ()))
    if not found:
        raise ConfigError("No model is named.", _EXAMPLE)
    return tuple(found)


def resolve_role(
    role: str, roles: Mapping[str, Names], aliases: Mapping[str, Names] | None = None
) -> tuple[ModelName, ...]:
    """The models of a role; a role without any of its own is played by the planner's. Raises ConfigError."""
    for name in (role, *roles):
        if name not in ROLES:
            hint = did_you_mean(name, ROLES) or f"There are {', '.join(ROLES)}."
            raise ConfigError(f"Models have no role {name!r}.", hint)
    names = roles.get(role) or roles.get("planner")
    if not names:
        raise ConfigError(f"No model is named for the role {role}.", _EXAMPLE)
    return parse_models(names, aliases)


def _expand(names: Names, aliases: Mapping[str, Names], seen: tuple[str, ...]) -> list[ModelName]:
    found: list[ModelName] = []
    for name in _separate(names):
        if name in seen:
            raise ConfigError(
                f"The alias {name} leads back to itself: {' → '.join((*seen, name))}.", _EXAMPLE
            )
        if name in aliases:
            found += _expand(aliases[name], aliases, (*seen, name))
        elif ":" not in name and (meant := did_you_mean(name, aliases)):
            raise ConfigError(f"There is no alias {name!r}.", meant)
        else:
            found.append(parse_model(name))
    return found


def _separate(names: Names) -> list[str]:
    parts = names.split(",") if isinstance(names, str) else names
    return [part.strip() for part in parts if part.strip()]
