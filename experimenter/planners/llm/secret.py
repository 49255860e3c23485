"""A key that shows itself nowhere: not in a repr, a traceback's variables, a log or a message that quotes it."""

from __future__ import annotations

import logging
from typing import Final, NoReturn

__all__ = ["PLACEHOLDER", "Secret", "keep_out_of_logs"]

PLACEHOLDER: Final = "the-key-stays-in-the-transport"
"""What the client libraries are given for a key: they log, keep and quote what they know."""

_SHORTEST: Final = 8
_WIRE_LOGGERS: Final = ("httpcore2.connection", "httpcore2.http11", "httpcore2.http2", "httpcore2.proxy")


class Secret:
    """A key. Only ``reveal`` gives it away, and only the transport calls it."""

    __slots__ = ("__text",)

    def __init__(self, text: str) -> None:
        self.__text = text

    def reveal(self) -> str:
        return self.__text

    def scrub(self, text: str) -> str:
        """The text without the key. A placeholder such as ``none`` is no secret, and stays."""
        return text.replace(self.__text, "[key]") if len(self.__text) >= _SHORTEST else text

    def scrub_bytes(self, data: bytes) -> bytes:
        return data.replace(self.__text.encode(), b"[key]") if len(self.__text) >= _SHORTEST else data

    def __repr__(self) -> str:
        return "Secret(...)"

    def __reduce__(self) -> NoReturn:
        raise TypeError("A key is never stored.")


class _Scrubbing(logging.Filter):
    """Knows every key in use. Installed once and never removed: a filter that came and went could be raced past."""

    def __init__(self) -> None:
        super().__init__()
        self.known: dict[str, Secret] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        said = clean = record.getMessage()
        for secret in tuple(self.known.values()):
            clean = secret.scrub(clean)
        if clean != said:
            record.msg, record.args = clean, ()
        return True


_SCRUBBING: Final = _Scrubbing()


def keep_out_of_logs(secret: Secret) -> None:
    """Scrubs the key from what the lowest layer logs from now on: it quotes headers, and servers quote keys."""
    _SCRUBBING.known[secret.reveal()] = secret
    for name in _WIRE_LOGGERS:
        logging.getLogger(name).addFilter(_SCRUBBING)
