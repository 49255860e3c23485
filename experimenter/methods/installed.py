"""Which method skills are installed: a hook behind an entry point, and the ``SKILL.md`` that stands beside it.

Only installed packages are looked at. A ``hook.py`` that merely lies in a folder, of a workspace or anywhere else, is
never imported: a method is code that a person chose to install.
"""

from __future__ import annotations

import json
import re
import sys
from importlib.resources import files
from typing import Any, Final, Literal

from pydantic import ValidationError

from experimenter import plugins
from experimenter.errors import ConfigError, NotFound, did_you_mean
from experimenter.records import Method, Record

__all__ = ["KINDS", "Kind", "method", "methods", "read_card"]

Kind = Literal["reward", "start", "wrapper", "diagnostic"]
KINDS: Final[dict[str, str]] = {
    "reward": "write",
    "start": "starts",
    "wrapper": "wrap",
    "diagnostic": "diagnose",
}
"""Each kind of method with what its hook must offer."""
_GROUP: Final = "skills"
_LONGEST: Final = 100_000


def method(name: str) -> Any:
    """The hook of the method ``name``: a fresh instance of its class (``experimenter.contracts.Method``).

    Raises NotFound (with did-you-mean) when no such method is installed or something it needs is not, and ConfigError
    when the package that provides it is faulty.
    """
    if name not in plugins.names(_GROUP):
        raise _unknown(name)
    found = plugins.load(_GROUP, name)
    if getattr(found, "kind", None) not in KINDS:
        raise _unknown(name)
    _sound(name, found)
    return found()


def methods() -> tuple[Method, ...]:
    """Every installed method with what its ``SKILL.md`` says, by name.

    A package that cannot be loaded is left out: ``method(name)`` says what is wrong with it.
    """
    found = []
    for name in plugins.names(_GROUP):
        try:
            hook = plugins.load(_GROUP, name)
            if getattr(hook, "kind", None) in KINDS:
                _sound(name, hook)
                found.append(_described(name, hook))
        except (ConfigError, NotFound):
            continue
    return tuple(found)


def read_card(name: str, hook: type) -> tuple[dict[str, str], str]:
    """Front matter and text of the ``SKILL.md`` beside a hook. Raises ConfigError when there is none of that name."""
    package = sys.modules[hook.__module__].__package__
    try:
        text = (files(package) / "SKILL.md").read_text(encoding="utf-8") if package else ""
    except (OSError, UnicodeDecodeError):
        text = ""
    front = re.match(r"---\n(.*?)\n---\n", text[:_LONGEST], re.S)
    if front is None:
        raise ConfigError(
            f"The method {name} has no SKILL.md beside its hook, or one without front matter.",
            "Reinstall the package that provides it; its wheel must hold SKILL.md in the hook's folder.",
        )
    said = dict(line.split(":", 1) for line in front[1].splitlines() if ":" in line)
    fields = {key.strip(): _plain(value.strip()) for key, value in said.items()}
    if fields.get("name") != name or not fields.get("description"):
        raise ConfigError(
            f"The SKILL.md of the method {name} must name it and describe it in its front matter.",
            "Reinstall the package that provides it.",
        )
    return fields, text[front.end() : _LONGEST]


def _described(name: str, hook: Any) -> Method:
    fields, text = read_card(name, hook)
    return Method(
        name=name,
        description=fields["description"],
        kind=hook.kind,
        when=_section(text, "When to use it") or fields["description"],
        needs=_section(text, "What it needs"),
        hook=f"{hook.__module__}:{hook.__qualname__}",
        parameters=_defaults(hook.Parameters),
        source=text.strip(),
    )


def _sound(name: str, hook: Any) -> None:
    """Raises ConfigError when the class is not what its kind promises."""
    does, record = KINDS[hook.kind], getattr(hook, "Parameters", None)
    wrong = ""
    if getattr(hook, "name", None) != name:
        wrong = f"calls itself {getattr(hook, 'name', None)!r}"
    elif not callable(getattr(hook, does, None)):
        wrong = f"is of kind {hook.kind} and has no {does}()"
    elif not (isinstance(record, type) and issubclass(record, Record)):
        wrong = "has no Parameters, a class derived from experimenter.records.Record"
    if wrong:
        raise ConfigError(
            f"The method {name} ({hook.__module__}:{hook.__qualname__}) {wrong}.",
            "Install a release of its package that keeps to skills/README.md.",
        )


def _unknown(name: str) -> NotFound:
    known = [found.name for found in methods()]
    hint = f"{did_you_mean(name, known)} Installed: {', '.join(known) or 'none'}.".strip()
    return NotFound(f"There is no method named {name[:80]}.", hint)


def _section(text: str, title: str) -> str:
    """The words under a heading, up to the next one; empty when there is none."""
    found = re.search(rf"^## {re.escape(title)}\s*\n(.*?)(?=^#|\Z)", text, re.S | re.M)
    return found[1].strip() if found else ""


def _defaults(record: type[Record]) -> dict[str, Any]:
    """Every parameter with its default; ``None`` where it must be given."""
    fields = {name: field for name, field in record.model_fields.items() if name != "v"}
    required = {name: None for name, field in fields.items() if field.is_required()}
    try:
        shown = record.model_construct(**required).model_dump(mode="json", warnings=False)
    except ValidationError:
        return required
    return {name: shown.get(name) for name in fields}


def _plain(value: str) -> str:
    """A front matter's value without its quotes."""
    if len(value) > 1 and value[0] == value[-1] == '"':
        try:
            return str(json.loads(value))
        except ValueError:
            return value
    return value
