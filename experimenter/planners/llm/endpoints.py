"""Where a provider's models are asked, and with which key: from the usual environment names, checked before a call."""

from __future__ import annotations

import os
import urllib.parse
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from experimenter.errors import ConfigError
from experimenter.planners.llm.faults import ModelFault
from experimenter.planners.llm.secret import Secret

__all__ = ["Endpoint", "endpoint_for", "speaks_responses"]

_OLLAMA_PORT: Final = 11434


@dataclass(frozen=True, slots=True)
class Endpoint:
    """An address that is asked. ``key_from`` names where the key comes from, for messages."""

    provider: str
    base_url: str
    key: Secret | None = None
    key_from: str = ""

    def scrub(self, text: str) -> str:
        return self.key.scrub(text) if self.key else text


def endpoint_for(provider: str, environ: Mapping[str, str] | None = None) -> Endpoint:
    """The provider's endpoint by the environment.

    ``openai``: OPENAI_API_KEY, OPENAI_BASE_URL. ``anthropic``: ANTHROPIC_API_KEY, ANTHROPIC_BASE_URL. ``ollama``:
    OLLAMA_HOST, no key. ``openai-compat``: EXPERIMENTER_COMPAT_BASE_URL, and EXPERIMENTER_COMPAT_API_KEY where the
    server wants one. Raises ModelFault (``no_key``, ``bad_key``) and ConfigError for an address that is none.
    """
    env = os.environ if environ is None else environ
    if provider == "ollama":
        return Endpoint(provider, _ollama(env.get("OLLAMA_HOST", "")))
    if provider == "openai-compat":
        return _compat(env)
    names = {
        "openai": ("OPENAI", "https://api.openai.com/v1"),
        "anthropic": ("ANTHROPIC", "https://api.anthropic.com"),
    }
    prefix, usual = names[provider]
    key_from, url_from = f"{prefix}_API_KEY", f"{prefix}_BASE_URL"
    key = _key(env, key_from)
    if key is None:
        raise ModelFault(f"{key_from} is not set, and {provider} needs a key.", kind="no_key")
    return Endpoint(provider, _address(env.get(url_from) or usual, url_from), key, key_from)


def speaks_responses(endpoint: Endpoint, environ: Mapping[str, str] | None = None) -> bool:
    """Whether ``openai:`` is asked by ``responses``: at OpenAI itself, and where EXPERIMENTER_OPENAI_API says so.

    Whatever else stands behind OPENAI_BASE_URL (a proxy, a server of one's own) is asked by ``chat.completions``, which
    all of them speak. Raises ConfigError for a name that is neither.
    """
    env = os.environ if environ is None else environ
    said = env.get("EXPERIMENTER_OPENAI_API", "").strip() or "auto"
    if said not in ("auto", "responses", "chat"):
        raise ConfigError(f"EXPERIMENTER_OPENAI_API is {said!r}.", "Write responses, chat, or auto.")
    host = urllib.parse.urlsplit(endpoint.base_url).hostname or ""
    return said == "responses" or (said == "auto" and (host == "openai.com" or host.endswith(".openai.com")))


def _compat(env: Mapping[str, str]) -> Endpoint:
    url_from, key_from = "EXPERIMENTER_COMPAT_BASE_URL", "EXPERIMENTER_COMPAT_API_KEY"
    if not env.get(url_from):
        raise ConfigError(
            f"{url_from} is not set: where is the server?",
            f"For example: {url_from}=http://127.0.0.1:8000/v1",
        )
    return Endpoint("openai-compat", _address(env[url_from], url_from), _key(env, key_from), key_from)


def _key(env: Mapping[str, str], name: str) -> Secret | None:
    """An empty variable counts as one that is not set. What no header can carry is refused before it is sent."""
    text = env.get(name, "").strip()
    if not text:
        return None
    if not text.isascii() or not text.isprintable() or " " in text:
        raise ModelFault(
            f"{name} holds no key: there are spaces or strange characters in it.", "Copy it again.", "bad_key"
        )
    return Secret(text)


def _address(text: str, name: str) -> str:
    """A base URL without a closing slash. One with a key inside would be logged by everything that it passes."""
    if any(mark in text for mark in "@?#"):
        raise ConfigError(
            f"{name} holds more than an address.",
            "A key belongs into its own variable, never into the address.",
        )
    if not _is_address(text.strip()):
        raise ConfigError(f"{name} is no address: {text!r}.", "Write for example http://127.0.0.1:8000/v1")
    return text.strip().rstrip("/")


def _ollama(host: str) -> str:
    """``OLLAMA_HOST`` as Ollama reads it: scheme and port may be missing; 0.0.0.0 means this machine."""
    text = host.strip() or "127.0.0.1"
    whole = text if "//" in text else f"http://{text}"
    address = _address(whole, "OLLAMA_HOST")
    parts = urllib.parse.urlsplit(address)
    port = parts.port or {"https": 443}.get(parts.scheme, _OLLAMA_PORT)
    name = "127.0.0.1" if parts.hostname == "0.0.0.0" else str(parts.hostname)
    return f"{parts.scheme}://{f'[{name}]' if ':' in name else name}:{port}/v1"


def _is_address(text: str) -> bool:
    try:
        parts = urllib.parse.urlsplit(text)
        port_is_one = parts.port is None or parts.port > 0
    except ValueError:
        return False
    plain = text.isascii() and text.isprintable() and " " not in text
    return plain and parts.scheme in ("http", "https") and bool(parts.hostname) and port_is_one
