"""Takes a person's reward program through every gate before training, in a worker, and says what each gate saw."""

from __future__ import annotations

import ast
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict
from typing import Any, Final, Literal

from experimenter.envs.records import Feature
from experimenter.errors import ContainmentError, ProgramRejected, did_you_mean
from experimenter.execution.probing import Lively, ProbeJob, prepare_batch, random_rollout
from experimenter.records import Design, EnvSpec, Record, RewardProgram
from experimenter.rl.shaping import BatchProgram, open_program
from experimenter.sandbox.static import static_check

__all__ = ["LAYERS", "BenchComponent", "Gates", "Layer", "LayerName", "inspect_program", "passed_until"]

Progress = Callable[[dict[str, Any]], None]
LayerName = Literal["file", "static", "containment", "limits", "contract", "preflight", "training"]
LAYERS: Final[tuple[LayerName, ...]] = (
    "file",
    "static",
    "containment",
    "limits",
    "contract",
    "preflight",
    "training",
)
_SEEN: Final = {
    "file": "it can be read",
    "static": "its syntax, imports, names and attributes are allowed",
    "containment": "it runs in a process of its own",
    "limits": "it keeps within its memory and its time",
    "contract": "it returns named components of finite numbers, one for each row",
    "preflight": "it is deterministic, varying, fast, and looks at one row at a time",
    "training": "an agent was trained with it",
}
_LEVELS: Final = {
    "full": "it runs in a process of its own, fully contained",
    "reduced": "it runs in a process of its own, with reduced containment: no kernel filter here",
    "none": "it was NOT contained: --allow-unsandboxed was given",
}
_FEATURES_TOLD: Final = 60
_FAR_TOO_SLOW: Final = 10


class Layer(Record):
    """One gate: ``passed``, ``refused`` or ``not reached``, in words; ``hint`` says what to do about a refusal."""

    name: LayerName
    state: Literal["passed", "refused", "not reached"]
    words: str
    hint: str = ""


class BenchComponent(Record):
    """One component on random transitions; ``share`` is of the sum of all components' mean |value|."""

    name: str
    minimum: float
    mean: float
    maximum: float
    share: float
    constant: bool
    dead: bool


class Gates(Record):
    """What the gates before training saw of one program.

    ``level`` is its containment, empty where it never ran; ``fields`` are those of ``t`` that it names;
    ``env_steps`` were taken to try it on.
    """

    layers: tuple[Layer, ...]
    level: str = ""
    fields: tuple[str, ...] = ()
    components: tuple[BenchComponent, ...] = ()
    microseconds_per_transition: float | None = None
    env_steps: int = 0

    @property
    def refused(self) -> Layer | None:
        """The gate that refused, if one did."""
        return next((layer for layer in self.layers if layer.state == "refused"), None)


class InspectJob(Record):
    """A program to be tried on ``steps`` random transitions of ``environment``; ``design`` gives network and γ."""

    program: RewardProgram
    environment: EnvSpec
    design: Design
    features: tuple[Feature, ...]
    seed: int
    steps: int
    allow_unsandboxed: bool = False


def inspect_program(payload: dict[str, Any], progress: Progress) -> dict[str, Any]:
    """The worker's job: a refusal is a result here, and only the environment's own faults are raised."""
    job = InspectJob.model_validate(payload)
    return dict(_inspect(job, progress).model_dump(mode="json"))


def _inspect(job: InspectJob, progress: Progress) -> Gates:
    """The static check comes before the first step of the environment: it costs nothing."""
    try:
        fields = static_check(job.program.source).fields
        _check_features(job.program.source, fields, job.features)
    except ProgramRejected as refusal:
        return Gates(layers=passed_until("static", refusal.message, refusal.hint))
    probing = ProbeJob(
        design=job.design,
        target_environment=job.environment,
        features=job.features,
        seed=job.seed,
        steps=job.steps,
        allow_unsandboxed=job.allow_unsandboxed,
    )
    rollout, steps = random_rollout(probing, job.design.phases[-1], progress)
    told = {"fields": tuple(sorted(fields)), "env_steps": steps}
    try:
        with open_program(job.program, allow_unsandboxed=job.allow_unsandboxed) as program:
            assert program is not None
            return _try(probing, program, rollout, progress).model_copy(update=told)
    except ProgramRejected as refusal:
        layers = passed_until(refusal.layer, refusal.message, refusal.hint)
    except ContainmentError as refusal:
        layers = passed_until("containment", refusal.message, refusal.hint)
    return Gates(layers=layers).model_copy(update=told)


def _check_features(source: str, fields: frozenset[str], features: tuple[Feature, ...]) -> None:
    """Raises ProgramRejected for the first ``t.now.x`` or ``t.next.x`` that is no feature of the environment."""
    known = [feature.name for feature in features]
    for field in sorted(fields):
        group, _, name = field.partition(".")
        if name and name not in known:
            raise ProgramRejected(
                f"Line {_line_of(source, group, name)}: t.{group}.{name} is no feature of this environment.",
                f"{did_you_mean(name, known)} {_listed(known)}".strip(),
            )


def _listed(known: list[str]) -> str:
    if not known:
        return "This environment has no named features: use t.obs and t.next_obs."
    more = len(known) - _FEATURES_TOLD
    rest = f" and {more} more (--features lists them)" if more > 0 else ""
    return f"Known features: {', '.join(known[:_FEATURES_TOLD])}{rest}."


def _line_of(source: str, group: str, name: str) -> int:
    """The first line that names ``t.group.name`` in a source that passed the static check."""
    return min(
        node.lineno
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.Attribute)
        and node.attr == name
        and isinstance(node.value, ast.Attribute)
        and node.value.attr == group
    )


def _try(job: ProbeJob, program: BatchProgram, rollout: Any, progress: Progress) -> Gates:
    """Contract and pre-flight of a program that runs; its level is told whatever comes of it."""
    from experimenter.sandbox.preflight import preflight

    level = program.level
    batch = prepare_batch(job, job.design.phases[-1], program, rollout)
    lively = Lively(program, progress)
    try:
        _check_pace(lively, batch)
        report = preflight(lively, batch)  # type: ignore[arg-type]
    except ProgramRejected as refusal:
        return Gates(layers=passed_until(refusal.layer, refusal.message, refusal.hint, level), level=level)
    return Gates(
        layers=passed_until("training", "", "", level),
        level=level,
        components=tuple(BenchComponent(**asdict(item)) for item in report.components),
        microseconds_per_transition=1e6 * report.seconds_per_transition,
    )


def _check_pace(program: Lively, batch: Mapping[str, Any]) -> None:
    """Refuses a program that is far too slow before the pre-flight's many calls: twice, in case the machine is busy."""
    from experimenter.sandbox.preflight import SECONDS_PER_CALL, SECONDS_PER_TRANSITION

    for attempt in range(2):
        began = time.perf_counter()
        count = len(next(iter(program.call(batch).values())))
        seconds = time.perf_counter() - began
        if seconds <= _FAR_TOO_SLOW * (SECONDS_PER_CALL + SECONDS_PER_TRANSITION * count):
            return
        if attempt:
            words = f"The reward program failed its pre-flight: a call on {count} transitions took {seconds:.1f} s."
            raise ProgramRejected(words, "No Python loops over rows.", "preflight")


def passed_until(name: str, message: str, hint: str, level: str = "") -> tuple[Layer, ...]:
    """Every gate's state when ``name`` was reached: refused there, or not tried where there is no ``message``.

    An empty ``name`` means that all were passed; a name that is no gate's counts as the contract's. ``level`` says
    how well the program was contained, where that is known.
    """
    known: list[str] = list(LAYERS)
    place = known.index(name) if name in known else known.index("contract") if name else len(known)
    return tuple(_layer(layer, index - place, message, hint, level) for index, layer in enumerate(LAYERS))


def _layer(name: LayerName, beyond: int, message: str, hint: str, level: str) -> Layer:
    if beyond == 0 and message:
        return Layer(name=name, state="refused", words=message, hint=hint)
    if beyond >= 0:
        return Layer(name=name, state="not reached", words="not tried")
    words = _LEVELS.get(level, _SEEN[name]) if name == "containment" else _SEEN[name]
    return Layer(name=name, state="passed", words=words)
