"""What is noted beside a film: which episode of which policy it shows, so that a reader can check it."""

from __future__ import annotations

from experimenter.records.base import Record, TrueReturn
from experimenter.records.designs import EnvSpec


class FilmNote(Record):
    """One filmed episode. ``policy`` is the policy's hash, ``seed`` the episode's, ``length`` its steps.

    ``speed`` is how many times faster than the environment's clock it is shown. Where nothing could be filmed,
    ``error`` says why, and there is no picture.
    """

    arm: str
    policy: str
    environment: EnvSpec
    seed: int
    training_seed: int = 0
    native_return: TrueReturn | None = None
    success: bool | None = None
    length: int = 0
    frames: int = 0
    speed: float = 1.0
    error: str = ""
