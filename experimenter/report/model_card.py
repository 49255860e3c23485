"""The model card of the policy that a run leaves behind, in the structure that the Hugging Face Hub reads.

In the front matter every text is a JSON string, so that it is valid YAML whatever a wish or an environment is called.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

from experimenter.report.costs import apart
from experimenter.report.design import phase_facts, winning_design
from experimenter.report.gather import ReportData
from experimenter.report.lines import interval_words, number, percent
from experimenter.report.markdown import bullet, code, fenced, heading, md_table, plain
from experimenter.report.more import More, shown_policy
from experimenter.report.planned import SCRIPTED, is_scripted, models_words
from experimenter.report.reproduce import command_words, run_facts
from experimenter.report.text import safe_text

if TYPE_CHECKING:
    from experimenter.records import Design, Json, PolicyRef, Training

__all__ = ["model_card"]

_LIBRARY: Final = "rl-experimenter"
_LOAD: Final = """\
from pathlib import Path

from experimenter.judge.evaluate import evaluate
from experimenter.policies.policy import load_policy
from experimenter.records import EnvSpec, JudgeSpec

folder = Path("experiments") / {path}  # the workspace, and the policy in it
policy = load_policy(folder, {hash})  # refuses a changed policy
environment = EnvSpec.model_validate({environment})
evaluation = evaluate(policy, environment, range(20), JudgeSpec())
print(evaluation.mean)  # mean undiscounted native return over 20 seeds"""


def model_card(data: ReportData, more: More) -> str | None:
    """The whole text of ``MODEL_CARD.md``; ``None`` while the run has no policy."""
    design, found = winning_design(data), shown_policy(data)
    if design is None or found is None:
        return None
    training, policy = found
    parts = [
        _front(data, design),
        heading(1, f"A policy for {data.record.goal.environment.id}"),
        *_summary(data),
        *_use(data),
        *_training(data, more, design, training),
        *_evaluation(data, more),
        *_limitations(data),
        *_loading(data, policy),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _front(data: ReportData, design: Design) -> str:
    """YAML front matter: library, tags, and the confirmed scores as a model index."""
    env_id = safe_text(data.record.goal.environment.id)
    tags = ["reinforcement-learning", "deep-reinforcement-learning", env_id, safe_text(design.algorithm)]
    lines: list[tuple[str, Json]] = [
        ("library_name", _LIBRARY),
        ("pipeline_tag", "reinforcement-learning"),
        ("tags", tags),
    ]
    metrics = _metrics(data)
    if metrics:
        result = {
            "task": {"type": "reinforcement-learning", "name": "reinforcement-learning"},
            "dataset": {"name": env_id, "type": env_id},
            "metrics": metrics,
        }
        name = f"{design.algorithm}-{re.sub(r'[^A-Za-z0-9._-]+', '-', env_id)}"
        lines.append(("model-index", [{"name": name, "results": [result]}]))
    return "\n".join(["---", *_yaml(dict(lines), ""), "---"])


def _yaml(value: dict[str, Json], indent: str) -> Iterator[str]:
    """A mapping in YAML's block style; names are ours, and every other text is a quoted JSON string."""
    for key, item in value.items():
        if isinstance(item, dict):
            yield f"{indent}{key}:"
            yield from _yaml(item, indent + "  ")
        elif isinstance(item, list):
            yield f"{indent}{key}:"
            for one in item:
                yield from _yaml_item(one, indent + "  ")
        else:
            yield f"{indent}{key}: {json.dumps(item, ensure_ascii=False)}"


def _yaml_item(item: Json, indent: str) -> Iterator[str]:
    if not isinstance(item, dict):
        yield f"{indent}- {json.dumps(item, ensure_ascii=False)}"
        return
    first, *rest = _yaml(item, indent + "  ")
    yield f"{indent}- {first.strip()}"
    yield from rest


def _metrics(data: ReportData) -> list[dict[str, Json]]:
    """Only what was confirmed on fresh seeds; ``verified`` means verified by the Hub, which it is not."""
    if data.winner is None:
        return []
    arm = data.winner.arm
    score, scores = arm.interval, [float(one) for one in arm.scores]
    found: list[dict[str, Json]] = [
        {"type": "mean_reward", "value": _spread(scores), "name": "mean_reward", "verified": False},
        {
            "type": "iqm_true_score",
            "value": round(score.iqm, 6),
            "name": f"interquartile mean over {score.seeds} training seeds, 95 % interval "
            f"{score.low:.4g} to {score.high:.4g}",
            "verified": False,
        },
    ]
    if arm.success_rate is not None:
        rate = {"type": "success_rate", "value": round(arm.success_rate, 6), "name": "success rate"}
        found.append({**rate, "verified": False})
    return found


def _spread(scores: list[float]) -> str:
    """Mean and standard deviation over training seeds, as the Hub's leaderboards write it."""
    mean = sum(scores) / len(scores) if scores else 0.0
    deviation = (sum((x - mean) ** 2 for x in scores) / len(scores)) ** 0.5 if scores else 0.0
    return f"{mean:.2f} +/- {deviation:.2f}"


def _summary(data: ReportData) -> Iterator[str]:
    yield f"Goal: {plain(data.record.goal.wish)}."
    if data.winner is None:
        yield (
            "**Not confirmed.** The run ended before its winner was trained again on fresh seeds, so this policy is "
            "the search's best so far, and its score may be luck."
        )
    elif data.result is not None and data.result.sentence:
        yield plain(data.result.sentence)


def _use(data: ReportData) -> Iterator[str]:
    yield heading(2, "Intended use")
    goal = data.record.goal.environment
    kwargs = f" with {code(json.dumps(goal.kwargs, sort_keys=True))}" if goal.kwargs else ""
    yield (
        f"Acting in the Gymnasium environment {code(goal.id)}{kwargs}, and as a starting point or a baseline for "
        "research on it. It is not meant for any other environment, nor for controlling anything in the real world."
    )


def _training(data: ReportData, more: More, design: Design, training: Training) -> Iterator[str]:
    yield heading(2, "Training")
    yield (
        f"{plain(design.algorithm.upper())} with {plain(design.network.words)} networks, "
        f"{number(training.env_steps)} learning steps, training seed {training.seed}"
        + (f", after {number(design.lineage_steps)} inherited steps." if design.start else ", from scratch.")
    )
    for phase in design.phases:
        mixture, settings = phase_facts(phase)
        reward = (
            "the environment's own reward" if phase.reward is None else f"the program {phase.reward.name}"
        )
        yield f"Trained on {plain(mixture)}, paid by {plain(reward)}; {plain(settings)}."
        if phase.reward is not None:
            yield fenced(phase.reward.source, "python")
            yield "The policy does not need the program any more."
    yield f"The search behind it took {number(data.ledger.env_steps)} learning steps in {len(data.trials)} trials."
    if data.planning is not None and (models := models_words(data.planning)):
        yield f"Language models took part in planning it. {plain(models)}"
    yield md_table(("steps apart", "count", "what they are"), apart(data, more), figures=(1,))


def _evaluation(data: ReportData, more: More) -> Iterator[str]:
    yield heading(2, "Evaluation")
    judge = data.card.judge.words if data.card is not None else "the environment's undiscounted native return"
    yield f"Judge: {plain(judge)}. The judge never loads generated code, and plays the pristine environment."
    if data.winner is None:
        yield "There is no confirmed figure."
        return
    rows = [
        (
            plain(s.arm.name),
            interval_words(s.arm.interval),
            percent(s.arm.success_rate),
            _scores(s.arm.scores),
        )
        for s in data.arms
    ]
    head = ("arm", "true score (IQM, 95 % interval)", "success", "each training seed")
    yield md_table(head, rows, figures=(1, 2))
    yield (
        f"Each training seed's score is a mean over the same {len(more.held_out)} held-out episodes. The interval is "
        "about the design: this file's policy is the one of the first training seed, not the best of them."
    )
    for one in data.comparisons:
        yield bullet(
            [f"against {plain(one.control)}: {one.label}, p = {one.p:.3f}. {plain(one.why)}".rstrip()]
        )


def _scores(scores: tuple[float, ...]) -> str:
    shown = ", ".join(number(float(score)) for score in scores[:10])
    return f"{shown} and {len(scores) - 10} more" if len(scores) > 10 else shown


def _limitations(data: ReportData) -> Iterator[str]:
    yield heading(2, "Limitations")
    seeds = data.winner.arm.interval.seeds if data.winner is not None else 0
    found = [
        "It was judged in one environment, in simulation; a change of its parameters may break it.",
        "It sees single observations and has no memory.",
    ]
    if seeds:
        found.append(f"{seeds} training seeds show large effects only; indistinguishable is not equal.")
    if data.planning is not None and is_scripted(data.planning):
        found.append(SCRIPTED)
    if data.winner is None:
        found.append("It was never confirmed on fresh seeds.")
    yield bullet(found)


def _loading(data: ReportData, policy: PolicyRef) -> Iterator[str]:
    yield heading(2, "How to load it")
    environment = data.record.goal.environment.model_dump(mode="json", exclude={"v"})
    source = _LOAD.format(
        path=repr(safe_text(policy.path)), hash=repr(safe_text(policy.hash)), environment=_python(environment)
    )
    yield fenced(source, "python")
    yield "It is two files, safetensors and a JSON description, and no pickle."
    yield heading(2, "How to reproduce it")
    yield fenced(command_words(data), "sh")
    yield bullet(f"{plain(name)}: {plain(value)}" for name, value in run_facts(data))


def _python(value: Json) -> str:
    """A JSON value as a Python literal without characters that could leave its line."""
    return ascii(value)
