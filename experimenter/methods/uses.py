"""From a design's ``MethodUse`` to what a method does: parameters checked, reward programs written, hooks by kind.

A design is plain data and may come from a language model: unknown names and parameters are refused here, with the
reason, before anything is trained.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError

from experimenter.envs.records import EnvCard
from experimenter.errors import ConfigError, ProgramRejected, UsageError, did_you_mean
from experimenter.methods.installed import Kind, method
from experimenter.records import Design, Evaluation, Fault, MethodUse, Phase, RewardProgram, Training

__all__ = ["Use", "apply_reward_method", "check_methods", "method_faults", "parameters_of", "uses", "written"]


@dataclass(frozen=True, slots=True)
class Use:
    """A method as a phase uses it: its hook, and every parameter by name."""

    name: str
    hook: Any
    parameters: dict[str, Any]


def parameters_of(hook: Any, given: Mapping[str, Any]) -> dict[str, Any]:
    """``given`` checked against the hook's ``Parameters``, with defaults filled in.

    Raises UsageError that names the parameter (with did-you-mean) and what is wrong with it.
    """
    known = [name for name in hook.Parameters.model_fields if name != "v"]
    unknown = sorted(set(given) - set(known))
    if unknown:
        hint = did_you_mean(unknown[0], known) or f"It takes: {', '.join(known) or 'none'}."
        raise UsageError(f"The method {hook.name} has no parameter {unknown[0][:80]}.", hint)
    try:
        values = hook.Parameters.model_validate(dict(given))
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"]) or "its parameters"
        raise UsageError(
            f"The method {hook.name} was given an unfit {where}: {first['msg']}.",
            f"Its parameters: {', '.join(known)}; its SKILL.md explains them.",
        ) from None
    return {name: getattr(values, name) for name in known}


def uses(phase: Phase, kind: Kind) -> tuple[Use, ...]:
    """The phase's methods of one kind, in their order. Raises NotFound, ConfigError, UsageError."""
    every = [_use(use) for use in phase.methods]
    return tuple(use for use in every if use.hook.kind == kind)


def check_methods(design: Design) -> None:
    """Refuses a design whose methods are unknown or badly parametrised, or cannot act together.

    For the check stage, before anything costs steps. Raises NotFound, ConfigError or UsageError; each says what to
    do.
    """
    for phase in design.phases:
        for use in phase.methods:
            _use(use)
        _one_start(phase)


def apply_reward_method(
    name: str, programs: Sequence[RewardProgram], card: EnvCard, parameters: Mapping[str, Any]
) -> RewardProgram:
    """The reward program that the method ``name`` makes of ``programs`` (none: of the native reward).

    It is source like any other, and has passed the static check already; its ``parents`` are the hashes of
    ``programs``. Raises NotFound, UsageError (not a reward method, unfit parameters) and ProgramRejected.
    """
    hook = method(name)
    if hook.kind != "reward":
        raise UsageError(
            f"The method {name} writes no rewards: it is of kind {hook.kind}.",
            "Name it in the methods of a design's phase instead.",
        )
    made = hook.write(tuple(programs), card, parameters_of(hook, parameters))
    if not isinstance(made, RewardProgram):
        raise ConfigError(
            f"The method {name} returned {type(made).__name__}, not a RewardProgram.",
            "Report it to its author.",
        )
    _check_source(name, made, card)
    return made.model_copy(update={"origin": name, "parents": tuple(p.hash for p in programs)})


def written(design: Design, card: EnvCard) -> Design:
    """The design with its reward methods applied: each phase's program is real source, and what is left in
    ``methods`` acts during training. The same object where there is nothing to write."""
    phases = tuple(_written(phase, card) for phase in design.phases)
    return design if phases == design.phases else design.model_copy(update={"phases": phases})


def method_faults(
    training: Training, evaluation: Evaluation | None, design: Design, card: EnvCard
) -> tuple[Fault, ...]:
    """What the diagnostic methods that the design names say about its training; usually nothing, at no cost."""
    found: list[Fault] = []
    for phase in design.phases:
        for use in uses(phase, "diagnostic") if phase.methods else ():
            found += use.hook.diagnose(training, evaluation, design, card, use.parameters)
    return tuple(dict.fromkeys(found))


def _use(use: MethodUse) -> Use:
    hook = method(use.name)
    return Use(use.name, hook, parameters_of(hook, use.parameters))


def _one_start(phase: Phase) -> None:
    named = [use.name for use in uses(phase, "start")]
    if len(named) > 1:
        raise UsageError(
            f"A phase has one start-state distribution, and this one names {', '.join(named)}.",
            "Use one of them, or give each a phase of its own.",
        )


def _written(phase: Phase, card: EnvCard) -> Phase:
    if not any(_use(use).hook.kind == "reward" for use in phase.methods):
        return phase
    program, left = phase.reward, list[MethodUse]()
    for use in phase.methods:
        if method(use.name).kind == "reward":
            before = () if program is None else (program,)
            program = apply_reward_method(use.name, before, card, use.parameters)
        else:
            left.append(use)
    return phase.model_copy(update={"reward": program, "methods": tuple(left)})


def _check_source(name: str, program: RewardProgram, card: EnvCard) -> None:
    try:
        from experimenter.sandbox.static import static_check

        fields = static_check(program.source).fields
    except ProgramRejected as rejected:
        raise ProgramRejected(
            f"What the method {name} wrote is refused: {rejected.message}", rejected.hint, rejected.layer
        ) from None
    known = {feature.name for feature in card.features}
    named = {field.partition(".")[2] for field in fields if field.startswith(("now.", "next."))}
    if missing := sorted(named - known):
        raise ProgramRejected(
            f"What the method {name} wrote names features that this environment lacks: {', '.join(missing)}.",
            did_you_mean(missing[0], known) or f"Known features: {', '.join(sorted(known))}.",
            "contract",
        )
