"""The command line: ``experimenter``. Thin, because everything it does is the kernel's."""

from __future__ import annotations

from experimenter.cli.app import main

__all__ = ["main"]
