"""The static check: which programs pass, which fields they name, what is refused, and that it always answers."""

from __future__ import annotations

import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from experimenter.errors import ProgramRejected
from experimenter.sandbox.static import static_check

GOOD = '''"""Fly there."""
import numpy as np
import math

SCALE: float = 10.0


def near(t, width=1.0) -> np.ndarray:
    return np.exp(-np.abs(t.next.distance) / width) * math.pi


def reward(t) -> dict[str, np.ndarray]:
    closer = np.abs(t.now.position - 0.5) - np.abs(t.next.position - 0.5)
    parts = {"closer": SCALE * closer, "near": near(t, width=2.0)}
    for i in range(2):
        parts[f"wheel_{i}"] = -0.1 * t.obs["wheels"][:, i] ** 2
    parts["speed"] = np.linalg.norm(t.next_obs[:, :2], axis=1).clip(0.0, 1.0) * t.gamma ** t.elapsed
    return parts | {"arrived": 100.0 * t.terminated}
'''


def body(lines: str) -> str:
    return f"def reward(t):\n    x = t.next.x\n    {lines}\n    return {{'a': x}}\n"


def refusal(source: str) -> ProgramRejected:
    with pytest.raises(ProgramRejected) as caught:
        static_check(source)
    assert caught.value.layer == "static"
    return caught.value


def test_fields_of_a_good_program():
    assert static_check(GOOD).fields == {
        "now.position", "next.position", "next.distance", "obs", "next_obs", "gamma", "elapsed", "terminated"
    }  # fmt: skip


def test_fields_that_only_look_named_are_not():
    source = 'def reward(t):\n    """t.obs and t.now.speed"""\n    return {"a": t.next.x}  # t.action\n'
    assert static_check(source).fields == {"next.x"}


@pytest.mark.parametrize(
    "line",
    [
        "import os",
        "from numpy import sqrt",
        "import numpy.lib as np",
        "y = x.__class__",
        "y = np.load",
        "y = np.random.normal()",
        "y = np.linalg.inv",
        "y = np",
        "y = math.factorial(9)",
        "y = open('a')",
        "y = getattr(x, 'shape')",
        "y = t",
        "y = t.now",
        "y = t.secret",
        "y = [t]",
        "t = 3",
        "np = 3",
        "x.flags = 1",
        "y = x.resize(3)",
        "y = x.tofile('a')",
        "y = '{0.x}'.format(x)",
        "y = '%999999d' % 3",
        "y = 'a' * 999999999",
        "y = f'{x:>99999}'",
        "y = 9 ** 9 ** 9",
        "y = 2 ** 100000",
        "y = 1 << 5000",
        "y = 10 ** 15 + 99999999999999999999",
        "y = 1j",
        "y = b'a'",
        "global y",
        "del x",
        "assert x",
        "raise ValueError",
        "yield x",
        "(y := x)",
        "while True: pass",
        "with x: pass",
        "class A: pass",
        "async def f(): pass",
        "try: pass\n    except ValueError: pass",
        "match x:\n        case object(__class__=c): pass",
        "y = dict(__class__=1)",
        "y = lambda __a: 1",
        "@np.abs\n    def f(): pass",
        "exec('1')",
        "eval('1')",
        "print(x)",
    ],
)
def test_refused(line):
    assert refusal(body(line)).message


@pytest.mark.parametrize(
    "source",
    [
        "",
        "x = 1",
        "def reward(t): return {'a': 1.0}",
        "def reward(t): return {'a': t.gamma}",
        "def reward(s): return {'a': s.next.x}",
        "def reward(t, k=1): return {'a': t.next.x}",
        "def reward(*t): return {'a': 1}",
        "def reward(t): return {'a': t.next.x}\ndef reward(t): return {'a': t.next.x}",
        "for i in range(3): pass\ndef reward(t): return {'a': t.next.x}",
        "def reward(t)\n    return 1",
        "def reward(t): return {'a': t.next.x}\n\0",
        "reward = lambda t: {'a': t.next.x}",
    ],
)
def test_wrong_outline(source):
    refusal(source)


def test_a_refusal_says_where_and_what_instead():
    assert "Line 3" in refusal(body("y = np.sqare(x)")).message
    assert "square" in refusal(body("y = np.sqare(x)")).hint
    assert "terminated" in refusal(body("y = t.terminate")).hint


BOMBS = {
    "huge": "x = 1\n" * 2_000_000,
    "brackets": "x = " + "(" * 5_000 + "1" + ")" * 5_000,
    "lists": "x = " + "[" * 9_000,
    "not": "x = " + "not " * 4_900 + "1",
    "minus": "x = " + "-" * 19_000 + "1",
    "sum": "x = " + "+".join(["1"] * 9_900),
    "lambda": "x = " + "lambda:" * 2_800 + "1",
    "power": "x = " + "2**" * 6_000 + "2",
    "blocks": "\n".join(" " * i + "if 1:" for i in range(180)) + "\n" + " " * 181 + "pass",
    "attributes": "def reward(t):\n    return t" + ".obs" * 4_000,
    "calls": "def reward(t):\n    return t.obs" + "()" * 500,
    "elif": "def reward(t):\n    if 1: pass\n" + "    elif 1: pass\n" * 1_000,
    "comparisons": "x = " + "1<" * 9_000 + "1",
    "strings": "x = " + "''" * 9_000,
}


@pytest.mark.parametrize("name", BOMBS)
def test_parser_bombs_are_refused_quickly(name):
    start = time.process_time()
    refusal(BOMBS[name])
    assert time.process_time() - start < 1.0


def test_a_huge_source_is_refused_without_looking_at_it():
    start = time.perf_counter()
    refusal(BOMBS["huge"])
    assert time.perf_counter() - start < 0.02


WORDS = (
    "def reward(t):|\n|    |return|{|}|[|]|(|)|'a'|:|,|t.obs|t.now.x|np.|abs|__class__|.|=|+|**|9|lambda|if|else|for|"
    'in|import os|x|f\'{x}\'|\\|#|"""|@|:=|not|\t|match|é|\0'
)
PIECES = st.sampled_from(WORDS.split("|"))


@settings(max_examples=300, deadline=None)
@given(st.lists(PIECES, max_size=40).map("".join) | st.text(max_size=200))
def test_it_always_answers(source):
    try:
        report = static_check(source)
    except ProgramRejected as rejected:
        assert rejected.layer == "static" and rejected.message
    else:
        assert report.fields
