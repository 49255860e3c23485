"""SBX: Stable-Baselines3's interface over JAX. Its first updates compile, and are part of the warm-up."""

from __future__ import annotations

from peers.common import Answer, Meeting, Task, answer
from peers.sb3 import play_with

__all__ = ["play"]


def play(task: Task, meet: Meeting) -> Answer:
    import sbx

    return play_with(sbx, task, meet)


if __name__ == "__main__":
    answer(play)
