"""Words as the hash embedder reads them: split, stemmed, and told what the field means by them.

The table of concepts is general English and general reinforcement learning, written before the questions of the
retrieval benchmark. The list of field words and all weights were set on the half of them that is for tuning.
"""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache
from typing import Final

__all__ = ["CONCEPTS", "concepts", "is_common", "is_field_word", "stem", "words"]

_WORD: Final = re.compile(r"[^\W\d_]+|\d+")
_CAMEL: Final = re.compile(r"(?<=[a-z])(?=[A-Z])|(?<=\d)(?=[^\W\d_])|(?<=[^\W\d_])(?=\d)")

_COMMON_WORDS: Final = """
    a about after again all also always an and any are as at be because been before being both but by can could did
    do does doing done down each every few for from get gets give gives go goes going got had has have having he her
    here his how i if in into is it its itself just let like made make makes many may me might more most much must my
    need needs no not now of off on once one only or other our out over own per same she should since so some still
    such take takes than that the their them then there these they thing things this those through to too two under
    until up use used uses using v very via was way we well were what when where whether which while who why will
    with within without would you your
"""
_COMMON: Final = frozenset(_COMMON_WORDS.split())

# Said of nearly every training: present, but little to go by.
_FIELD: Final = """
    agent algorithm behaviour bonus cost design environment episode experiment figure learn lesson measure method
    model number performance policy rate result return reward run score seed setting step success task test time
    train training trial way
"""

# Each line is one concept: words that a person might use for another.
CONCEPTS: Final = """
pole rod stick beam bar mast
upright vertical balance stand steady erect
fall topple tip collapse drop tumble
cart trolley wagon base
car vehicle automobile wagon
hill slope mountain incline ridge uphill climb summit peak valley
swing pendulum oscillate rock sway
momentum energy speed velocity fast quick pace rapid
slow late gradual lag delay
land touchdown descend descent settle
lander spacecraft rocket ship craft module
fuel engine thrust throttle burn propellant
crash collide hit bump smash impact collision
leg foot feet limb paw hoof
walk gait stride step run locomotion march stroll
hop jump leap bounce spring
robot creature body agent character
torso trunk chest hull body
joint knee hip ankle motor
torque force effort actuation actuator control
door gate entrance exit passage
key unlock open lock
room chamber hall corridor maze
goal target destination finish objective
reach arrive attain get reach touch
explore exploration novelty curiosity discover search wander
entropy randomness stochastic noise random
sparse rare seldom infrequent scarce
dense frequent shaped
reward bonus payoff incentive pay prize
penalty punish cost fine charge negative
shaping potential progress distance
hack exploit cheat loophole game trick
stuck plateau stall stagnate flat
diverge explode unstable blow instability
collapse degrade forget deteriorate worsen
improve better help gain raise boost increase
hurt harm worse damage reduce decrease
learn train training practice teach
rate step size
seed replicate repetition repeat run
variance spread noise scatter
observe observation sense input sensor perceive
normalise normalize scale standardise standardize rescale
clip bound limit cap truncate
discount gamma horizon far
network layer hidden neural architecture width
batch minibatch
rollout trajectory episode
policy actor controller behaviour behavior
critic value baseline
exploit greedy deterministic
curriculum staged easy gradual progression sequence warm-up
start reset initial begin
transfer reuse warm inherit finetune
easy simple small trivial
hard difficult tough challenging
big large wide huge
gravity weight mass heavy
light lightweight
wind gust breeze turbulence
slip slippery ice frozen slide
hole pit gap trap
lava fire hazard danger unsafe
wall obstacle barrier block
grid cell tile square
ball object item box
pick grab grasp carry hold lift
place put deliver drop
left right side sideways lateral
forward ahead front advance
backward reverse back
turn rotate spin angle tilt lean
arm manipulator reacher gripper finger hand
swim fish water snake
track road lane path route
drive steer wheel race
enemy opponent adversary monster
survive alive live survival last
die dead death terminate
time duration long step
early premature soon
end finish stop terminate
wait idle still stand loiter
loop circle cycle oscillate
safe safety careful cautious
success solve win achieve accomplish
fail failure lose unsuccessful
memory remember recurrent history past
vision image pixel camera picture frame
ensemble average mean several
pessimistic worst conservative cautious minimum
gate threshold condition
snapshot checkpoint save restore state
demonstration imitate expert
compare ranking preference
detect notice diagnose diagnostic find
component term part
weight coefficient factor scale
action command move choice
continuous analog
discrete
smooth jerk jitter
energy power consumption efficient economical
taxi cab passenger
card dealer
bird
cliff edge ledge
""".strip().splitlines()


def words(text: str) -> list[str]:
    """The lower-case words and numbers of a text, with ``CamelCase`` taken apart and accents folded."""
    plain = unicodedata.normalize("NFKD", _CAMEL.sub(" ", text))
    kept = "".join(c for c in plain if not unicodedata.combining(c))
    return _WORD.findall(kept.casefold())


def is_common(word: str) -> bool:
    """Whether a word says nothing about what a text is about."""
    return word in _COMMON


@lru_cache(maxsize=65_536)
def stem(word: str) -> str:
    """A word without its English endings: ``balancing``, ``balanced`` and ``balance`` become one."""
    if len(word) <= 3 or not word.isascii():
        return word
    word = _plural(word)
    for ending, least in _ENDINGS:
        if word.endswith(ending) and len(word) - len(ending) >= least:
            word = _undouble(word[: -len(ending)])
            break
    return word[:-1] if len(word) > 3 and word[-1] in "ey" else word


_ENDINGS: Final = (
    ("isation", 3),
    ("ization", 3),
    ("ations", 3),
    ("ation", 3),
    ("ingly", 3),
    ("fully", 3),
    ("ness", 3),
    ("ment", 4),
    ("less", 4),
    ("able", 3),
    ("ible", 3),
    ("ally", 3),
    ("ised", 3),
    ("ized", 3),
    ("ise", 4),
    ("ize", 4),
    ("ing", 3),
    ("ion", 4),
    ("ful", 3),
    ("ers", 4),
    ("est", 4),
    ("ed", 3),
    ("er", 4),
    ("or", 4),
    ("ly", 3),
    ("al", 4),
    ("ic", 4),
)


def _plural(word: str) -> str:
    if word.endswith("ies") and len(word) > 4:
        return word[:-3] + "y"
    if word.endswith(("sses", "shes", "ches", "xes", "zes")):
        return word[:-2]
    return word[:-1] if word.endswith("s") and not word.endswith(("ss", "us", "is")) else word


def _undouble(word: str) -> str:
    return word[:-1] if len(word) > 3 and word[-1] == word[-2] and word[-1] not in "lsz" else word


@lru_cache(maxsize=1)
def _concept_table() -> dict[str, tuple[int, ...]]:
    table: dict[str, list[int]] = {}
    for number, line in enumerate(CONCEPTS):
        for word in dict.fromkeys(line.split()):
            table.setdefault(stem(word), []).append(number)
    return {word: tuple(dict.fromkeys(numbers)) for word, numbers in table.items()}


def concepts(stemmed: str) -> tuple[int, ...]:
    """The numbers of the concepts that a stem stands for."""
    return _concept_table().get(stemmed, ())


@lru_cache(maxsize=1)
def _field() -> frozenset[str]:
    return frozenset(map(stem, _FIELD.split()))


def is_field_word(stemmed: str) -> bool:
    """Whether a stem is said of nearly every training, so that it tells texts apart only a little."""
    return stemmed in _field()
