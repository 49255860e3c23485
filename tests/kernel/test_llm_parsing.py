"""From a reply's text to an answer: what is found and how wrong it may be; and 10,000 hostile replies."""

from __future__ import annotations

import json
import random
import time
from collections.abc import Callable

import pytest

from experimenter.errors import ExperimenterError
from experimenter.planners.llm.parsing import (
    LONGEST_REPLY,
    ReplyRejected,
    parse_answer,
    parse_code,
    parse_object,
)
from experimenter.questions import (
    Answer,
    CurveReading,
    Decomposition,
    EnvironmentMixtures,
    HyperparameterChoices,
    LeverChoice,
    Reflection,
    RewardPrograms,
    RolloutRanking,
    SuccessTest,
    TaskProposals,
)
from experimenter.records import EnvSpec, Hyperparameters, RewardProgram, Task, WeightedEnv

GOOD = '{"lever": "reward", "reason": "Nothing is learned."}'
CHOICE = LeverChoice(lever="reward", reason="Nothing is learned.")


@pytest.mark.parametrize(
    "text",
    [
        GOOD,
        f"\ufeff \n{GOOD}\n",
        f"```json\n{GOOD}\n```",
        f"Here it is:\n\n```\n{GOOD}\n```\nI hope that it helps {{a lot}}.",
        f"```python\nx = {{1}}\n```\n```json\n{GOOD}\n```",
        f"````markdown\n```json\n{GOOD}\n```\n````",
        f"The set {{a, b}} is no answer, {GOOD} is one, and {{}} is too late.",
        f"  ```json\n{GOOD}",
        f"<think>\nPerhaps {{}} or\n```json\n{{}}\n```\n</think>\n\n{GOOD}",
        GOOD[:-1] + ', "v": 1}',
    ],
)
def test_an_answer_is_found_wherever_it_stands(text: str) -> None:
    assert parse_answer(text, LeverChoice) == CHOICE


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "is empty"),
        (" \ufeff\n", "is empty"),
        ("I cannot.", "holds no JSON object"),
        ("[1, 2]", "holds no JSON object"),
        ("<think>so be it</think>", "is empty"),
        (GOOD[:20], "cut off"),
        ('{"tasks": [{"lever": "reward", "reason": "x"}, {"le', "cut off"),
        ('{"lever": reward}', r"broken at line 1, column 11: Expecting value, near .*reward"),
        ('{"a": 1} {"lever": "reward"}', r"lever: Field required.*a: Extra inputs"),
        ('{"lever": "reward", "lever": "native", "reason": ""}', "'lever' stands twice"),
        ('{"lever": NaN, "reason": ""}', "NaN is no JSON number"),
        ('{"lever": -Infinity}', "-Infinity is no JSON number"),
        ('{"lever": 1e999}', "too large"),
        ('{"lever": ' + "9" * 5000 + "}", "5,000 digits"),
        ('{"lever": "\\ud800"}', "half a surrogate pair"),
        ('{"\\udfff": 1}', "half a surrogate pair"),
        ('{"lever": "reward", "reason": "\ud800"}', "half a surrogate pair"),
        ('{"lever": "reward", "reason": "\\u001b[2J"}', r"control character \(U\+001B\)"),
        ('{"a": ' * 70 + "1" + "}" * 70, "deeper than 64"),
        ('{"a":' + "[" * 100_000, "deeper than 64"),
        ("`" * 1_000_000, "1,000,000 characters"),
        ('{"lever": "teapot", "reason": ""}', "lever: Input should be 'native'.*given: 'teapot'"),
        ('{"lever": {"deep": [1]}, "reason": 3}', "given: dict of 1.*reason"),
    ],
)
def test_what_is_wrong_is_said_exactly(text: str, words: str) -> None:
    with pytest.raises(ReplyRejected, match=words) as caught:
        parse_answer(text, LeverChoice)
    assert len(str(caught.value)) < 2500 and str(caught.value).isprintable()


def test_depth_is_judged_alike_however_deep_the_caller_stands() -> None:
    """Python's own limit counts the caller's frames; an answer must not depend on them."""

    def deep(frames: int, text: str) -> str:
        if frames:
            return deep(frames - 1, text)
        try:
            return str(parse_object(text))
        except ReplyRejected as cause:
            return cause.message

    for depth in (60, 66, 500, 900, 5000):
        text = '{"a":' + "[" * depth + "]" * depth + "}"
        assert deep(0, text) == deep(700, text)


def test_many_errors_are_told_briefly() -> None:
    text = json.dumps({f"wrong{number}" * 20: "x" * 100 for number in range(500)})
    with pytest.raises(ReplyRejected, match="and 494 more") as caught:
        parse_answer(text, LeverChoice)
    assert len(str(caught.value)) < 6000


CODE = "def reward(t):\n    return {'x': t.native_reward}\n"


@pytest.mark.parametrize(
    "text",
    [
        f"```python\n{CODE}```",
        f"Sure.\n\n```py\n{CODE}\n```\nDone.",
        f"```\n{CODE}```",
        f"```json\n{{}}\n```\n```python\n{CODE}```",
        f"<think>\n```python\npass\n```\n</think>\n```python\n{CODE}```",
        f"```python\n{CODE}",
    ],
)
def test_code_is_what_stands_in_the_one_fence(text: str) -> None:
    assert parse_code(text) == CODE


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (CODE, "no fenced block of python"),
        ("```python\n\n```", "no fenced block"),
        (f"```python\n{CODE}```\n```python\n{CODE}```", "2 fenced blocks"),
        ("", "empty"),
        ("```python\nx = '\ud800'\n```", "half a surrogate"),
        ("```python\nx = '\x00'\n```", r"U\+0000"),
    ],
)
def test_what_is_no_single_block_of_code_is_refused(text: str, words: str) -> None:
    with pytest.raises(ReplyRejected, match=words) as caught:
        parse_code(text)
    assert "```python" in caught.value.hint or "JSON" in caught.value.hint or "brief" in caught.value.hint


ENV = EnvSpec(id="CartPole-v1", kwargs={"sutton_barto_reward": True})
ANSWERS: tuple[Answer, ...] = (
    CHOICE,
    CurveReading(state="stuck", keep_training=False, slope=-0.5, low=-1.0, high=1e-9),
    Decomposition(skills=("reach-key", "open-door"), gap=None),
    EnvironmentMixtures(mixtures=((WeightedEnv(environment=ENV), WeightedEnv(environment=ENV, weight=2.0)),)),
    HyperparameterChoices(choices=(Hyperparameters(), Hyperparameters())),
    Reflection(sentence="Daß “es” hülft 🦫.", keep_skill=True, skill_description="opens doors"),
    RewardPrograms(programs=(RewardProgram(name="closer", source=CODE),)),
    RolloutRanking(order=("a", "b", "c")),
    SuccessTest(source=CODE),
    TaskProposals(tasks=(Task(name="balance", sentence="Balance.", environment=ENV),)),
)
ODD = [
    *(
        "\x00",
        "\x1b[2J",
        "\ufeff",
        "\ud800",
        "\udfff",
        "\u202e",
        "\r",
        "\u2028",
        "\U0001f9ab",
        "\\ud800",
        "\\u0000",
    ),
    *("{", "}", "[", "]", '"', "\\", "```", "`", "\n```\n", ",", ":", "//", "'"),
    *("NaN", "-Infinity", "null", "1e999", "-0", "00"),
]
UNITS = [
    *(
        "`",
        "```\n",
        "````json\n{",
        "{",
        "}",
        "[",
        "{}",
        "{1",
        "{[",
        "[1,",
        '{"',
        '{"a":',
        '{"a":1}',
        '{"a":1,',
        '{"a":"',
    ),
    *('"', "\\", '\\"', "0", "-", "e", " ", "\n", "{\n", "\ufeff", "\ud800", "\x00"),
]

Mutation = Callable[[random.Random, str], str]


def _cut(chance: random.Random, text: str) -> str:
    return text[: chance.randrange(len(text) + 1)]


def _insert(chance: random.Random, text: str) -> str:
    for _ in range(chance.randint(1, 5)):
        at = chance.randrange(len(text) + 1)
        text = text[:at] + chance.choice(ODD) + text[at:]
    return text


def _delete(chance: random.Random, text: str) -> str:
    at = chance.randrange(len(text) + 1)
    return text[:at] + text[at + chance.randint(1, 9) :]


def _swap_value(chance: random.Random, text: str) -> str:
    """One value is replaced by another type, or by something huge."""
    value = json.loads(text)
    odd: list[object] = [
        None,
        True,
        -1,
        10**39,
        1e308,
        "",
        "x" * 5000,
        [],
        {},
        [[[]]],
        {"v": 2},
        "NaN",
        [0] * 999,
    ]
    key = chance.choice(list(value))
    inner = value[key]
    if isinstance(inner, list) and inner and isinstance(inner[0], dict) and chance.random() < 0.7:
        inner[0][chance.choice(list(inner[0]))] = chance.choice(odd)
    else:
        value[key] = chance.choice(odd)
    return json.dumps(value)


def _repeat_key(chance: random.Random, text: str) -> str:
    return text[:-1] + "," + text[1:]


def _number(chance: random.Random, text: str) -> str:
    digits = "".join(chance.choice("0123456789") for _ in range(chance.choice([1, 30, 400, 5000])))
    return text.replace(":", f':{chance.choice(["", "-", "0.", "1e"])}{digits},"x":', 1)


def _nest(chance: random.Random, text: str) -> str:
    opened, closed = chance.choice([("[", "]"), ('{"a":', "}"), ("[{", "}]"), ('{"a":[', "]}")])
    depth = chance.choice([10, 63, 64, 65, 200, 990, 3000])
    return opened * depth + text + (closed * depth if chance.random() < 0.5 else "")


def _fence(chance: random.Random, text: str) -> str:
    for _ in range(chance.randint(1, 4)):
        ticks = "`" * chance.choice([1, 2, 3, 4, 7])
        before, word = chance.choice(["", "Well: {x} "]), chance.choice(["", "json", "python", "{"])
        text = f"{before}{ticks}{word}\n{text}\n{ticks}"
    return text


def _twice(chance: random.Random, text: str) -> str:
    return text + chance.choice(["", " ", "\n\n", "{"]) + text


def _large(chance: random.Random, text: str) -> str:
    """Made to be slow: each is as long as is read, or longer."""
    n = chance.choice([100_000, LONGEST_REPLY - 3000, 1_000_000])
    unit = chance.choice(UNITS)
    body = (unit * (n // len(unit) + 1))[:n]
    return chance.choice([body, text[:-1] + body, '{"a":"' + body, '{"a":' + body, body + text])


SMALL: tuple[Mutation, ...] = (
    _cut,
    _insert,
    _delete,
    _swap_value,
    _repeat_key,
    _number,
    _nest,
    _fence,
    _twice,
)


def _fuzzed(chance: random.Random, number: int) -> tuple[str, type[Answer]]:
    answer = chance.choice(ANSWERS)
    text = json.dumps(answer.model_dump(mode="json"), ensure_ascii=chance.random() < 0.5)
    mutations = [_large] if number % 50 == 0 else chance.choices(SMALL, k=chance.randint(1, 3))
    for mutation in sorted(mutations, key=lambda one: one is not _swap_value):
        if mutation is _swap_value and not text.startswith("{"):
            continue
        try:
            text = mutation(chance, text)
        except json.JSONDecodeError:
            continue
    return text, type(answer)


def _read(text: str, answer_type: type[Answer]) -> bool:
    """Whether it is answered; anything but an answer that can be stored or a typed refusal is raised."""
    try:
        parse_answer(text, answer_type).model_dump_json()
    except ReplyRejected as cause:
        assert str(cause).isprintable() and len(str(cause)) < 6000
        return False
    return True


def _seconds(work: Callable[[], object]) -> float:
    """Of processor time; again where it seems long, as the collector of garbage may have run in between."""
    took = 1.0
    for _ in range(3):
        begin = time.process_time()
        work()
        took = min(took, time.process_time() - begin)
        if took < 0.03:
            break
    return took


def test_ten_thousand_fuzzed_replies_are_read_or_refused_in_a_moment() -> None:
    chance = random.Random(20261121)
    slowest, what, answered = 0.0, "", 0
    for number in range(10_000):
        text, answer_type = _fuzzed(chance, number)
        answered += _read(text, answer_type)
        took = _seconds(lambda text=text, answer_type=answer_type: _read(text, answer_type))
        if took > slowest:
            slowest, what = took, f"{len(text)} characters, beginning with {text[:30]!r}"
    assert slowest < 0.1, f"{slowest:.3f} s for {what}"
    assert 300 < answered < 5000


def test_two_thousand_fuzzed_replies_hold_code_or_are_refused() -> None:
    chance = random.Random(7)
    for number in range(2_000):
        text, _ = _fuzzed(chance, number)
        mutated = chance.choice(SMALL[:3])(chance, f"```python\n{CODE}```\n") + text
        assert _seconds(lambda mutated=mutated: _read_code(mutated)) < 0.1


def _read_code(text: str) -> None:
    try:
        parse_code(text).encode()
    except ReplyRejected as cause:
        assert str(cause).isprintable()


@pytest.mark.parametrize("answer", ANSWERS, ids=lambda one: type(one).__name__)
def test_every_good_answer_comes_back_as_it_was(answer: Answer) -> None:
    assert parse_answer(f"```json\n{answer.model_dump_json(indent=2)}\n```", type(answer)) == answer
    assert issubclass(ReplyRejected, ExperimenterError)
