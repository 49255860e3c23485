"""How a blocking method becomes one that is awaited: the same signature, in a thread, written down once."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Callable, Coroutine
from typing import Any, Concatenate, Generic, ParamSpec, Protocol, Self, TypeVar, overload

__all__ = ["Blocking", "Twin"]

P = ParamSpec("P")
R = TypeVar("R")


class Blocking(Protocol):
    """Whatever has a blocking object behind it."""

    @property
    def blocking(self) -> Any: ...


class Twin(Generic[P, R]):
    """A method to be awaited, which calls ``method`` of the ``blocking`` object behind it in a thread.

    Cancelling it does not end what the thread is at: a judgement or a film is finished, and nobody hears of it.
    """

    def __init__(self, method: Callable[Concatenate[Any, P], R]) -> None:
        self._method = method
        self.__doc__ = method.__doc__
        self.__wrapped__ = method

    @overload
    def __get__(self, instance: None, owner: type) -> Self: ...

    @overload
    def __get__(self, instance: Blocking, owner: type) -> Callable[P, Coroutine[Any, Any, R]]: ...

    def __get__(self, instance: Blocking | None, owner: type) -> Self | Callable[P, Coroutine[Any, Any, R]]:
        if instance is None:
            return self
        call, behind = self._method, instance.blocking

        @functools.wraps(call)
        async def later(*args: P.args, **kwargs: P.kwargs) -> R:
            return await asyncio.to_thread(call, behind, *args, **kwargs)

        return later
