"""Forms for numbers to choose: environments' parameters and hyperparameters, one field for each.

A field that is left at null stays what it is, so that a model writes down only what it changes.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Final, Literal

from pydantic import BaseModel, Field, create_model
from pydantic.fields import FieldInfo

from experimenter.envs.records import EnvCard, Parameter
from experimenter.identity import slug
from experimenter.planners.llm.forms import Form, Part, labels, made
from experimenter.planners.llm.parsing import ReplyRejected
from experimenter.questions import (
    Answer,
    Attempt,
    ChooseHyperparameters,
    DesignEnvironments,
    EnvironmentMixtures,
    HyperparameterChoices,
    ProposeTasks,
    TaskProposals,
)
from experimenter.records import EnvSpec, Hyperparameters, Json, OffPolicySettings, Task, WeightedEnv

__all__ = ["hyperparameters", "mixtures", "parameters_of", "tasks"]

MOST_PARAMETERS: Final = 40
MOST_CHOICES: Final = 40
LONGEST_LABEL: Final = 80
MOST_VARIANTS: Final = 4
_REASON: Final = 300
_UNUSED: Final[Mapping[str, frozenset[str]]] = {
    "sac": frozenset(
        {
            "exploration_initial_eps",
            "exploration_fraction",
            "exploration_final_eps",
            "double_q",
            "max_grad_norm",
        }
    ),
    "dqn": frozenset({"ent_coef", "target_entropy"}),
}
_CONTINUOUS: Final = frozenset({"sde", "sde_sample_freq", "log_std_init"})


def parameters_of(card: EnvCard) -> tuple[Parameter, ...]:
    """Those that a form has fields for."""
    return tuple(one for one in card.parameters if _annotation(one) is not None)[:MOST_PARAMETERS]


def tasks(question: ProposeTasks) -> Form:
    """Tasks in the goal's environment, or in one with other parameters. The loop's own names are made here."""
    changes = _changes(question.card)
    fields: dict[str, Any] = {
        "name": (str, Field(min_length=1, max_length=40)),
        "sentence": (str, Field(min_length=1, max_length=_REASON)),
        "reason": (str, Field(max_length=_REASON)),
    }
    if changes is not None:
        fields["changes"] = (changes, ...)
    one = create_model("ProposedTask", __base__=Part, **fields)
    written = made("TaskProposals", tasks=(list[one], Field(min_length=1, max_length=question.count)))  # type: ignore[valid-type]
    target = question.goal.environment

    def finish(said: Any) -> Answer:
        found: list[Task] = []
        for proposed in said.tasks:
            spec = _changed(target, question.card, getattr(proposed, "changes", None))
            name = slug(proposed.name, "task", [task.name for task in found])
            if name.replace("_", "-") in question.skills:
                raise ReplyRejected(f"The task {name} is learned already: there is a skill of that name.")
            lever: Literal["native", "environment"] = "native" if spec.hash == target.hash else "environment"
            found.append(
                Task(
                    name=name,
                    sentence=proposed.sentence,
                    environment=spec,
                    reason=proposed.reason,
                    lever=lever,
                )
            )
        return TaskProposals(tasks=tuple(found))

    return Form(written, finish)


def mixtures(question: DesignEnvironments) -> Form:
    """Training mixtures: a share of the target, and variants of it with other parameters."""
    changes = _changes(question.card)
    assert changes is not None, "asked only where there are parameters"
    variant = create_model(
        "Variant", __base__=Part, weight=(float, Field(ge=0.01, le=1)), changes=(changes, ...)
    )
    mixture = create_model(
        "Mixture",
        __base__=Part,
        reason=(str, Field(max_length=_REASON)),
        target_weight=(float, Field(ge=0, le=1)),
        variants=(list[variant], Field(min_length=1, max_length=MOST_VARIANTS)),  # type: ignore[valid-type]
    )
    written = made(
        "EnvironmentMixtures",
        mixtures=(list[mixture], Field(min_length=1, max_length=question.count)),  # type: ignore[valid-type]
    )
    tried = {_shares(attempt.environments) for attempt in question.history}

    def finish(said: Any) -> Answer:
        found: list[tuple[WeightedEnv, ...]] = []
        seen = set(tried)
        for number, one in enumerate(said.mixtures, start=1):
            mixed = _mixed(question, one)
            if (key := _shares(mixed)) in seen:
                raise ReplyRejected(f"Mixture {number} was tried before, or stands here twice.")
            seen.add(key)
            found.append(mixed)
        return EnvironmentMixtures(mixtures=tuple(found), reasons=tuple(one.reason for one in said.mixtures))

    return Form(written, finish)


def hyperparameters(question: ChooseHyperparameters) -> Form:
    """Settings of the kind that the question has; what is null stays as it is in the base."""
    base = question.base if question.off_policy is None else question.off_policy
    choice = _settings_part(base, _left_out(question))
    written = made(
        "HyperparameterChoices",
        choices=(list[choice], Field(min_length=1, max_length=question.count)),  # type: ignore[valid-type]
    )

    def finish(said: Any) -> Answer:
        found: list[Any] = []
        seen = {base, *_settings_of(question.history, base)}
        for number, one in enumerate(said.choices, start=1):
            given = {name: value for name, value in one.model_dump().items() if value is not None}
            settings = type(base).model_validate({**base.model_dump(), **given})
            _check_settings(settings, question.steps, number)
            if settings in seen:
                raise ReplyRejected(f"Choice {number} was tried before, or stands here twice.")
            seen.add(settings)
            found.append(settings)
        name = "choices" if question.off_policy is None else "off_policy"
        return HyperparameterChoices.model_validate({name: tuple(found)})

    return Form(written, finish)


def _check_settings(settings: Hyperparameters | OffPolicySettings, steps: int, number: int) -> None:
    """What training would only find out late: that nothing would be learned in so many steps."""
    if settings.rollout > steps:
        raise ReplyRejected(
            f"Choice {number} collects {settings.rollout:,} transitions before it learns; a training has {steps:,}."
        )
    if isinstance(settings, Hyperparameters) and settings.minibatch_size > settings.rollout:
        raise ReplyRejected(
            f"Choice {number}: minibatch_size {settings.minibatch_size:,} is more than num_envs × num_steps,"
            f" {settings.rollout:,}."
        )
    if isinstance(settings, OffPolicySettings) and settings.learning_starts >= steps:
        raise ReplyRejected(
            f"Choice {number}: learning_starts {settings.learning_starts:,} leaves nothing of {steps:,} steps."
        )


def _settings_of(history: Sequence[Attempt], base: object) -> list[Any]:
    if isinstance(base, Hyperparameters):
        return [attempt.hyperparameters for attempt in history]
    return [attempt.off_policy for attempt in history if attempt.off_policy is not None]


def _left_out(question: ChooseHyperparameters) -> frozenset[str]:
    """Settings that mean nothing here."""
    if question.off_policy is not None:
        return _UNUSED.get(question.algorithm, frozenset())
    return frozenset() if question.card.action_kind == "continuous" else _CONTINUOUS


def _settings_part(base: Hyperparameters | OffPolicySettings, left_out: frozenset[str]) -> type[BaseModel]:
    fields: dict[str, Any] = {}
    for name, field in type(base).model_fields.items():
        if name != "v" and name not in left_out:
            fields[name] = (_bounded(field) | None, None)
    return create_model("Settings", __base__=Part, **fields)


def _bounded(field: FieldInfo) -> Any:
    return Annotated[(field.annotation, *field.metadata)] if field.metadata else field.annotation


def _changes(card: EnvCard) -> type[BaseModel] | None:
    """One field for each parameter of the environment, by its own name; ``None`` where there is none."""
    fields: dict[str, Any] = {
        f"parameter_{number}": (_annotation(one) | None, Field(default=None, alias=one.name))
        for number, one in enumerate(parameters_of(card))
    }
    return create_model("Changes", __base__=Part, **fields) if fields else None


def _annotation(one: Parameter) -> Any:
    if len(one.name) > LONGEST_LABEL:
        return None
    if one.type == "bool":
        return bool
    if one.type == "choice":
        return labels(list(_labelled(one))) if _labelled(one) else None
    if one.type == "str":
        return Annotated[str, Field(max_length=LONGEST_LABEL)]
    bounds: dict[str, Any] = {
        key: value for key, value in (("ge", one.low), ("le", one.high)) if value is not None
    }
    return Annotated[int if one.type == "int" else float, Field(**bounds)]


def _labelled(one: Parameter) -> dict[str, Json]:
    named = {choice if isinstance(choice, str) else json.dumps(choice): choice for choice in one.choices}
    return {name: value for name, value in list(named.items())[:MOST_CHOICES] if len(name) <= LONGEST_LABEL}


def _changed(target: EnvSpec, card: EnvCard, changes: Any) -> EnvSpec:
    """The target with the parameters that were given; what is already so stays unsaid."""
    kwargs = dict(target.kwargs)
    for number, one in enumerate(parameters_of(card)):
        value = getattr(changes, f"parameter_{number}", None)
        if value is not None:
            value = _labelled(one)[value] if one.type == "choice" else value
            if value != kwargs.get(one.name, one.default):
                kwargs[one.name] = value
    return target.model_copy(update={"kwargs": kwargs})


def _mixed(question: DesignEnvironments, one: Any) -> tuple[WeightedEnv, ...]:
    """Weights as shares of one; a variant without any change is the target, and equal ones are one."""
    shares: dict[str, tuple[EnvSpec, float]] = {}
    parts = [(question.target, one.target_weight)]
    parts += [(_changed(question.target, question.card, v.changes), v.weight) for v in one.variants]
    total = sum(weight for _, weight in parts)
    for spec, weight in parts:
        if weight > 0:
            before = shares.get(spec.hash, (spec, 0.0))[1]
            shares[spec.hash] = (spec, before + weight / total)
    return tuple(WeightedEnv(environment=spec, weight=round(share, 6)) for spec, share in shares.values())


def _shares(mixture: Sequence[WeightedEnv]) -> frozenset[tuple[str, float]]:
    total = sum(one.weight for one in mixture) or 1.0
    return frozenset((one.environment.hash, round(one.weight / total, 3)) for one in mixture)
