"""Shows a film to a person: in the terminal, or in a window."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from experimenter.errors import UsageError
from experimenter.report.text import safe_text

if TYPE_CHECKING:
    import numpy as np
    from rich.text import Text

    from experimenter.execution.film import Film

__all__ = ["half_blocks", "show_in_terminal", "show_in_window"]

TERMINAL_FPS: Final = 15.0
WIDEST: Final = 100
_UPPER: Final = "▀"


def half_blocks(frame: np.ndarray, width: int, height: int) -> Text:
    """A picture in at most ``width`` columns and ``height`` lines; a character is two points high."""
    from rich.style import Style
    from rich.text import Text

    from experimenter.execution.film import shrink

    rows, columns = frame.shape[:2]
    share = min(width / columns, 2 * height / rows)
    shape = max(2, int(rows * share) // 2 * 2), max(1, int(columns * share))
    points = shrink(frame, shape)
    text = Text(no_wrap=True, end="")
    for top, bottom in zip(points[0::2], points[1::2], strict=True):
        for above, below in zip(top.tolist(), bottom.tolist(), strict=True):
            text.append(_UPPER, Style(color=_colour(above), bgcolor=_colour(below)))
        text.append("\n")
    return text


def _colour(point: Sequence[int]) -> str:
    return f"#{point[0]:02x}{point[1]:02x}{point[2]:02x}"


def show_in_terminal(film: Film) -> None:
    """Plays the film where the cursor is; frames are skipped so that at most 15 are drawn in a second."""
    from rich.console import Group
    from rich.live import Live
    from rich.text import Text

    from experimenter.cli.console import screen

    out = screen()
    width, height = min(WIDEST, out.width - 1), max(4, out.height - 3)
    step = max(1, round(film.fps / TERMINAL_FPS))
    chosen = [*range(0, len(film.frames) - 1, step), len(film.frames) - 1]
    with Live(console=out, auto_refresh=False, transient=False) as live:
        for index in chosen:
            began = time.monotonic()
            caption = Text(safe_text(film.captions[index]), style="dim")
            live.update(Group(half_blocks(film.frames[index], width, height), caption), refresh=True)
            time.sleep(max(0.0, step / film.fps - (time.monotonic() - began)))


def show_in_window(film: Film, title: str) -> None:
    """Plays the film in a window until it ends or is closed. Raises UsageError where no window can be opened."""
    import pygame

    os.environ.setdefault("PYGAME_HIDE_SUPPORT_PROMPT", "1")
    height, width = film.frames.shape[1:3]
    try:
        pygame.display.init()
        window = pygame.display.set_mode((width, height))
        pygame.display.set_caption(safe_text(title))
    except pygame.error as error:
        raise UsageError(
            f"No window can be opened here: {error}.",
            "Use --gif FILE, or --terminal to see it in the terminal.",
        ) from error
    try:
        clock = pygame.time.Clock()
        for frame in film.frames:
            if any(event.type == pygame.QUIT for event in pygame.event.get()):
                return
            window.blit(pygame.surfarray.make_surface(frame.swapaxes(0, 1)), (0, 0))
            pygame.display.flip()
            clock.tick(film.fps)
    finally:
        pygame.display.quit()
