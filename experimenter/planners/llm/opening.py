"""From a run's settings to a planner that asks its models: names, keys, limits, and a gate that keeps the budget."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Final

from experimenter.config import Settings
from experimenter.errors import ConfigError
from experimenter.planners.desk import Desk
from experimenter.planners.llm import wire
from experimenter.planners.llm.asking import Limits
from experimenter.planners.llm.clients import open_model, open_models
from experimenter.planners.llm.estimating import dearest, estimated_tokens
from experimenter.planners.llm.model import ModelClient, ModelName, ModelRequest, PassedOver
from experimenter.planners.llm.names import ROLES, Role, resolve_role
from experimenter.planners.llm.planner import LLMPlanner
from experimenter.planners.llm.prices import dollars

__all__ = ["DEFAULT_MODELS", "check_models", "models_of", "open_llm"]

DEFAULT_MODELS: Final[Mapping[str, tuple[str, str]]] = {
    "ANTHROPIC_API_KEY": ("anthropic", "claude-sonnet-5-5"),
    "OPENAI_API_KEY": ("openai", "gpt-6.1-sol"),
}
"""Which model a key chooses where none is named; the first key that is set decides."""


def models_of(
    settings: Settings, environ: Mapping[str, str] | None = None
) -> dict[Role, tuple[ModelName, ...]]:
    """The models of every role, fallbacks included. Raises ConfigError where none is named and no key chooses one."""
    roles = dict(settings.models)
    if settings.model:
        roles = {"planner": settings.model, **roles}
    if "planner" not in roles:
        roles["planner"] = _chosen_by_key(os.environ if environ is None else environ)
    return {role: resolve_role(role, roles, settings.aliases) for role in ROLES}


def check_models(settings: Settings) -> None:
    """Opens every model, fallbacks included, so that a missing key or a wrong name is told before a run is created.

    Nothing is sent. Raises ConfigError and ModelFault.
    """
    for name in sorted({name for names in models_of(settings).values() for name in names}, key=str):
        open_model(name)


def open_llm(desk: Desk) -> LLMPlanner:
    """The planner of a run. Its models are opened when they are first asked."""
    names, settings = models_of(desk.settings), desk.settings
    around = wire.Surroundings(stop=desk.stop)
    limits = wire.Limits(seconds=settings.model_seconds)

    def client(role: Role) -> ModelClient:
        return open_models(names[role], None, limits, around, partial(_weigh, desk))

    return LLMPlanner(
        clients=client,
        notes=desk.notes,
        limits=Limits(
            max_tokens=settings.model_tokens,
            temperature=settings.model_temperature,
            call_seconds=settings.model_seconds,
            seconds=settings.question_seconds,
        ),
        log=desk.log,
        gate=partial(_weigh, desk),
        ordinal=desk.ordinal,
        images=settings.images,
        models={role: str(models[0]) for role, models in names.items()},
    )


def _weigh(desk: Desk, model: ModelName, request: ModelRequest, passed: Sequence[PassedOver] = ()) -> None:
    """Each call is weighed at its most, all of its reply included, and what others charged for declining before it."""
    tokens = estimated_tokens(request)
    most = dearest((model,), tokens, request.max_tokens)
    before = [one for one in passed if one.usage is not None]
    paid = [dollars(one.model, one.usage) for one in before if one.usage]
    whole = None if most is None or None in paid else most + sum(part for part in paid if part is not None)
    spent = sum(one.usage.total or 0 for one in before if one.usage)
    desk.afford(spent + tokens + request.max_tokens, whole)


def _chosen_by_key(environ: Mapping[str, str]) -> str:
    for key, (provider, model) in DEFAULT_MODELS.items():
        if environ.get(key, "").strip():
            return f"{provider}:{model}"
    raise ConfigError(
        "No language model is named, and no key is set that would choose one.",
        "Name one with --model provider:model (ollama:llama3.1 needs no key), or set ANTHROPIC_API_KEY or"
        " OPENAI_API_KEY. The planner that needs no model is --planner search.",
    )
