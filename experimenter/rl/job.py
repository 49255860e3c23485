"""What a training is asked to do: plain data, so that it can be sent to a worker process."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from experimenter.envs.records import Feature
from experimenter.envs.vectors.kinds import Kind
from experimenter.records import Design, EnvSpec, JudgeSpec, Record, Rival

__all__ = ["TrainJob"]


class TrainJob(Record):
    """A design to train with one seed, up to ``until`` learning steps of the design's own.

    ``folder`` (absolute) keeps checkpoints, metrics and policies; ``relative`` is the same folder as seen from the
    workspace, for ``PolicyRef.path``. Steps, ``env_steps`` and ``eval_steps`` of the result count from the beginning
    of the training, also when it continues a shorter one. ``stopping`` names the rules that may end a training of the
    search before its time (``rl/stopping.py``), and ``rival`` what it is up against then. ``learner`` says whose
    derivatives PPO follows: those derived by hand or PyTorch's; on its own it takes the former wherever they suffice.
    ``cores`` is how many processes its environments may take, and ``vector`` the kind of vector environment that was
    chosen for the target environment; a phase that it does not fit is trained in a synchronous one. ``silence``: after
    so many seconds without a sign of life whoever watches the process ends it, with all that are trained in it.
    """

    step: str
    design: Design
    seed: int
    features: tuple[Feature, ...]
    target_environment: EnvSpec
    folder: str
    relative: str
    until: int
    chunk_steps: int = 16384
    validation_seeds: tuple[int, ...]
    judge: JudgeSpec
    target: float | None = None
    stop_at_plateau: bool = False
    stopping: Literal["off", "plateau", "forecast"] = "off"
    rival: Rival | None = None
    allow_unsandboxed: bool = False
    root: str = ""
    device: Literal["cpu", "cuda"] = "cpu"
    learner: Literal["auto", "kernels", "autograd"] = "auto"
    vector: Kind = "sync"
    cores: int = 1
    silence: float = 60.0

    @property
    def workspace(self) -> Path:
        """The folder that ``design.start.path`` starts from: ``root``, or else that of ``relative``."""
        return Path(self.root) if self.root else Path(self.folder).parents[len(Path(self.relative).parts) - 1]
