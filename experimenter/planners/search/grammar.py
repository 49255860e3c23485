"""The grammar of shaping terms: small typed trees that render into readable reward programs.

A tree, not text, is what evolution mutates; it travels inside the program it became, as a one-line comment, so
that planning needs nothing but the journal. Potential differences follow Ng, Harada and Russell (1999).
"""

from __future__ import annotations

import json
import keyword
from dataclasses import asdict, dataclass, replace
from typing import Any, Final, Literal, get_args

from experimenter.identity import digest

__all__ = ["Measure", "MeasureKind", "Shaping", "Term", "TermKind", "Transform", "parse", "rounded"]

MeasureKind = Literal["level", "near", "away", "energy", "gap", "flag"]
Transform = Literal["linear", "square", "tanh", "exp"]
TermKind = Literal["native", "potential", "dense", "first_time", "change", "ending", "survival", "effort"]
MARK: Final = "# shaping: "
BARE: Final = frozenset({"native", "ending", "survival", "effort"})


def rounded(value: float) -> float:
    """``value`` at three significant digits, so that programs read well and repeat exactly."""
    return float(f"{value:.3g}")


@dataclass(frozen=True, slots=True)
class Measure:
    """A number in [0, 1] read off one state.

    With offsets ``d = (feature - point) / span``: ``level`` is d clipped to [0, 1]; ``away`` the mean of |d|; ``near``
    one minus that; ``energy`` the mean of d²; ``gap`` one minus the distance of two features in spans;
    ``flag`` the feature itself. ``transform`` then bends it, still within [0, 1]; ``temperature`` (> 0) is the
    scale of ``tanh`` and ``exp``.
    """

    kind: MeasureKind
    features: tuple[str, ...]
    points: tuple[float, ...] = ()
    spans: tuple[float, ...] = ()
    transform: Transform = "linear"
    temperature: float = 0.5

    def __post_init__(self) -> None:
        _demand(self.kind in get_args(MeasureKind), "unknown measure")
        _demand(self.transform in get_args(Transform), "unknown transform")
        _demand(
            bool(self.features) and all(_identifier(name) for name in self.features), "features must be names"
        )
        _demand(self.temperature > 0 and all(span > 0 for span in self.spans), "scales must be positive")
        wanted = {"flag": 0, "gap": 1}.get(self.kind, len(self.features))
        _demand(len(self.spans) == wanted, "one span per offset")
        _demand(len(self.points) == (wanted if self.kind != "gap" else 0), "one point per offset")
        _demand(self.kind != "gap" or len(self.features) == 2, "a gap lies between two features")
        _demand(self.kind not in ("flag", "level") or len(self.features) == 1, "one feature only")


@dataclass(frozen=True, slots=True)
class Term:
    """One named component: ``weight`` (in units of reward) times what ``kind`` makes of the measure.

    ``potential`` pays gamma*Phi(next) - Phi(now) with Phi = 0 once terminated, which leaves the best policies what
    they were (Ng, Harada and Russell 1999); ``dense`` pays Phi(next), ``first_time`` and ``change`` pay a flag's
    rise; ``native``, ``ending``, ``survival`` and ``effort`` need no measure.
    """

    name: str
    kind: TermKind
    weight: float = 1.0
    measure: Measure | None = None

    def __post_init__(self) -> None:
        _demand(_identifier(self.name), "a component's name must be an identifier")
        _demand(self.kind in get_args(TermKind), "unknown term")
        _demand((self.measure is None) == (self.kind in BARE), "a measure where the kind needs one")

    @property
    def features(self) -> tuple[str, ...]:
        return self.measure.features if self.measure else ()

    def scaled(self, factor: float) -> Term:
        return replace(self, weight=rounded(self.weight * factor))


@dataclass(frozen=True, slots=True)
class Shaping:
    """A whole reward: its terms, with distinct names."""

    terms: tuple[Term, ...]

    def __post_init__(self) -> None:
        _demand(bool(self.terms), "a reward needs a term")
        _demand(len({term.name for term in self.terms}) == len(self.terms), "component names must differ")

    @classmethod
    def of(cls, *terms: Term) -> Shaping:
        """A shaping from any terms: same terms merged, names made distinct."""
        kept: dict[str, Term] = {}
        seen: set[str] = set()
        for term in terms:
            mark = digest([term.kind, _plain(term.measure)])
            if mark not in seen:
                seen.add(mark)
                name = _distinct(term.name, kept)
                kept[name] = replace(term, name=name)
        return cls(tuple(kept.values()))

    @property
    def key(self) -> str:
        """What makes two rewards the same, whatever their components are called and however ordered."""
        return digest(sorted(digest([t.kind, t.weight, _plain(t.measure)]) for t in self.terms))

    @property
    def shaping_terms(self) -> tuple[Term, ...]:
        return tuple(term for term in self.terms if term.kind != "native")

    def without(self, names: frozenset[str]) -> Shaping | None:
        """The rest after leaving out some components, or ``None`` when nothing but the native reward is left."""
        left = tuple(term for term in self.terms if term.name not in names)
        return Shaping(left) if any(term.kind != "native" for term in left) else None

    def with_term(self, name: str, term: Term | None) -> Shaping:
        """Component ``name`` replaced (or, for ``None``, unchanged)."""
        return Shaping.of(*(term if term and old.name == name else old for old in self.terms))

    def to_json(self) -> list[dict[str, Any]]:
        return [_term_json(term) for term in self.terms]

    @classmethod
    def from_json(cls, value: object) -> Shaping:
        """The tree of ``to_json``'s value. Raises ValueError when it is anything else."""
        try:
            return cls(tuple(_term(item) for item in _listed(value)))
        except (TypeError, KeyError, AttributeError) as error:
            raise ValueError(f"not a shaping tree: {error}") from error

    def comment(self) -> str:
        """The one line that carries the tree inside a program."""
        return MARK + json.dumps(self.to_json(), separators=(",", ":"), allow_nan=False)


def parse(source: str) -> Shaping | None:
    """The tree that a program carries, or ``None`` when it was written by someone else."""
    for line in source.splitlines():
        if line.startswith(MARK):
            try:
                return Shaping.from_json(json.loads(line[len(MARK) :]))
            except ValueError:
                return None
    return None


def _demand(condition: bool, words: str) -> None:
    if not condition:
        raise ValueError(words)


def _identifier(name: str) -> bool:
    return name.isidentifier() and not keyword.iskeyword(name) and name.isascii()


def _distinct(name: str, taken: dict[str, Term]) -> str:
    candidate, number = name, 2
    while candidate in taken:
        candidate, number = f"{name}_{number}", number + 1
    return candidate


def _plain(measure: Measure | None) -> dict[str, Any] | None:
    if measure is None:
        return None
    plain = asdict(measure)
    if measure.transform in ("linear", "square"):
        plain.pop("temperature")
    return plain


def _term_json(term: Term) -> dict[str, Any]:
    value: dict[str, Any] = {"name": term.name, "kind": term.kind, "weight": term.weight}
    return value if term.measure is None else {**value, "measure": asdict(term.measure)}


def _listed(value: object) -> list[Any]:
    if not isinstance(value, list):
        raise TypeError("expected a list of terms")
    return value


def _term(item: dict[str, Any]) -> Term:
    measure = item.get("measure")
    return Term(
        str(item["name"]), item["kind"], float(item["weight"]), _measure(measure) if measure else None
    )


def _measure(item: dict[str, Any]) -> Measure:
    return Measure(
        item["kind"],
        tuple(str(name) for name in item["features"]),
        tuple(float(point) for point in item["points"]),
        tuple(float(span) for span in item["spans"]),
        item["transform"],
        float(item["temperature"]),
    )
