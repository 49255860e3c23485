"""The agent's view of a MiniGrid world, the same to the byte, at a tenth of the time.

MiniGrid copies a piece of the world into a grid, turns that grid up to four times, and asks it cell by cell what can
be seen: four fifths of every step. Here the cells of the view are picked from the world in their final order, and what
can be seen is looked up row by row.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache
from itertools import compress
from operator import itemgetter
from typing import Any, Final

import numpy as np

__all__ = ["hasten", "seen"]

_UNSEEN: Final = bytes(3)
_COMPARED: Final = 20
_MOST_ROWS: Final = 10
"""Wider views than this have too many different rows to be kept."""


def hasten(env: Any) -> bool:
    """Lets ``env``, a MiniGrid environment, see by ``seen`` from now on; whether it does.

    Environments that have a view of their own keep it.
    """
    from minigrid.minigrid_env import MiniGridEnv

    kind, names = type(env), ("gen_obs", "gen_obs_grid", "get_view_exts")
    if not isinstance(env, MiniGridEnv) or env.agent_view_size > _MOST_ROWS:
        return False
    if any(getattr(kind, name) is not getattr(MiniGridEnv, name) or name in vars(env) for name in names):
        return False
    vars(env)["gen_obs"] = _Look(env)
    return True


class _Look:
    """What ``MiniGridEnv.gen_obs`` returns. The first views are held against its own: should a release of the package
    see otherwise, its own are all that count from then on."""

    def __init__(self, env: Any) -> None:
        self._env, self._to_compare = env, _COMPARED

    def __call__(self) -> dict[str, Any]:
        from minigrid.core.grid import Grid

        env = self._env
        if type(env.grid) is not Grid:
            return self._own()
        quick = {"image": seen(env), "direction": env.agent_dir, "mission": env.mission}
        if not self._to_compare:
            return quick
        self._to_compare -= 1
        own = self._own()
        if own.keys() != quick.keys() or not np.array_equal(own["image"], quick["image"]):
            del vars(env)["gen_obs"]
        return own

    def _own(self) -> dict[str, Any]:
        observation: dict[str, Any] = type(self._env).gen_obs(self._env)
        return observation


def seen(env: Any) -> np.ndarray:
    """The encoded view, uint8 (size, size, 3), as ``MiniGridEnv.gen_obs_grid`` and ``Grid.encode`` make it."""
    size, world = env.agent_view_size, env.grid
    x, y = env.agent_pos
    pick = _picker(world.width, world.height, int(x), int(y), int(env.agent_dir), size)
    cells = pick([*world.grid, _wall()])
    told = [_EMPTY if cell is None else _told(cell) for cell in cells]
    middle = size // 2
    if not env.see_through_walls:
        _hide(told, cells, size, middle)
    here = (middle + 1) * size - 1
    told[here] = _told(env.carrying) if env.carrying else _EMPTY
    return np.frombuffer(bytearray(b"".join(told)), np.uint8).reshape(size, size, 3)


_EMPTY: Final = bytes((1, 0, 0))


def _told(cell: Any) -> bytes:
    """A wall's code hangs on its colour alone, and most of what is seen are walls."""
    if type(cell) is type(_wall()):
        return _coded(cell.color)
    return bytes(cell.encode())


@lru_cache(maxsize=64)
def _coded(colour: str) -> bytes:
    return bytes(type(_wall())(colour).encode())


@lru_cache(maxsize=1)
def _wall() -> Any:
    """What lies outside of the world."""
    from minigrid.core.world_object import Wall

    return Wall()


@lru_cache(maxsize=16_384)
def _picker(width: int, height: int, x: int, y: int, direction: int, size: int) -> Callable[..., Any]:
    """Picks the view's cells, column by column, from the world's cells with a wall behind them."""
    (dx, dy), half = ((1, 0), (0, 1), (-1, 0), (0, -1))[direction], size // 2
    places = []
    for i in range(size):
        for j in range(size):
            ahead, right = size - 1 - j, i - half
            at_x, at_y = x + ahead * dx - right * dy, y + ahead * dy + right * dx
            inside = 0 <= at_x < width and 0 <= at_y < height
            places.append(at_y * width + at_x if inside else width * height)
    return itemgetter(*places)


def _hide(told: list[bytes], cells: Sequence[Any], size: int, middle: int) -> None:
    """Blanks what cannot be seen, from the agent's row upwards, as ``Grid.process_vis`` finds it."""
    clear = [cell is None or cell.see_behind() for cell in cells]
    weights, row = _weights(size), 1 << middle
    for j in range(size - 1, -1, -1):
        through = sum(compress(weights, clear[j::size]))
        hidden, row = _spread(row, through, size)
        for i in hidden:
            told[i * size + j] = _UNSEEN


@lru_cache(maxsize=16)
def _weights(size: int) -> tuple[int, ...]:
    return tuple(1 << i for i in range(size))


@lru_cache(maxsize=65_536)
def _spread(row: int, through: int, size: int) -> tuple[tuple[int, ...], int]:
    """Which columns of a row stay unseen, and what is seen through it of the one above; bit i is column i."""
    above = 0
    for i in range(size - 1):
        if row >> i & 1 and through >> i & 1:
            row |= 1 << i + 1
            above |= 3 << i
    for i in range(size - 1, 0, -1):
        if row >> i & 1 and through >> i & 1:
            row |= 1 << i - 1
            above |= 3 << i - 1
    return tuple(i for i in range(size) if not row >> i & 1), above
