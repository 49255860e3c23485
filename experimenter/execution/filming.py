"""Films a run's winner and its native control on the same held-out episode, so that a reader can see them side by side.

The episode is the first of the held-out list and the policy that of the first training seed, whatever they look like:
a film that was chosen for its looks would be no evidence.
"""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from pydantic import ValidationError

from experimenter.contracts import Executor, Job, JobResult
from experimenter.envs.records import EnvCard
from experimenter.errors import WorkspaceError
from experimenter.execution.film import Film, film, gif_bytes
from experimenter.execution.local import LocalExecutor
from experimenter.identity import seeds
from experimenter.records import Arm, EnvSpec, JudgeSpec, PolicyRef, Record, Training, TrueReturn
from experimenter.records.films import FilmNote
from experimenter.workspace.files import make_folder, write_atomic
from experimenter.workspace.store import Workspace

__all__ = ["FILMED_ARMS", "FilmOrder", "film_run", "shoot"]

FILMED_ARMS: Final = ("winner", "native")
LARGEST: Final = 1_500_000
_SIZES: Final = ((320, 200), (240, 120), (160, 60))
Progress = Callable[[dict[str, Any]], None]


class FilmOrder(Record):
    """One episode to film. ``policy_folder`` and ``media`` are absolute folders."""

    arm: str
    policy_folder: str
    policy_hash: str
    environment: EnvSpec
    seed: int
    training_seed: int
    judge: JudgeSpec
    media: str

    def note(self, **what: Any) -> FilmNote:
        """The note of this order's film, with ``what`` became of it."""
        return FilmNote(
            arm=self.arm,
            policy=self.policy_hash,
            environment=self.environment,
            seed=self.seed,
            training_seed=self.training_seed,
            **what,
        )


def film_run(
    workspace: Workspace,
    run: str,
    executor: Executor | None = None,
    interrupt: Callable[[], bool] = lambda: False,
) -> tuple[FilmNote, ...]:
    """Films the policies of a finished run that are not filmed yet; returns the notes of all its films.

    Each film is ``runs/<run>/media/<arm>.gif`` with ``<arm>.png`` (its first frame) and ``<arm>.json`` (a FilmNote).
    An environment that draws nothing or a damaged policy only lead to a note that says so. ``interrupt`` is polled at
    least once a second; true ends the filming without a note.
    """
    record = workspace.run(run)
    media = workspace.run_folder(record.id) / "media"
    orders = _orders(workspace, record.id, record.goal.seed, media)
    wanted = [order for order in orders if not _is_filmed(order)]
    if wanted:
        make_folder(media)
        _film_all(wanted, executor, interrupt)
    notes = (_note(media / f"{order.arm}.json") for order in orders)
    return tuple(note for note in notes if note is not None)


def shoot(order: FilmOrder, progress: Progress) -> FilmNote:
    """Films in this process (a worker's) and writes picture, first frame and note, the note last."""
    found, data = _small_enough(order, progress)
    note = order.note(
        native_return=TrueReturn(found.native_return),
        success=found.success,
        length=found.length,
        frames=len(found.frames),
        speed=found.speed,
    )
    media = Path(order.media)
    write_atomic(media / f"{order.arm}.gif", data)
    write_atomic(media / f"{order.arm}.png", _still(data))
    write_atomic(media / f"{order.arm}.json", note.model_dump_json(indent=2))
    return note


def _small_enough(order: FilmOrder, progress: Progress) -> tuple[Film, bytes]:
    """The largest of a few sizes whose GIF fits; the smallest one is taken anyway."""
    for size, frames in _SIZES:
        found = film(
            order.policy_folder,
            order.policy_hash,
            order.environment,
            order.seed,
            None,
            max_frames=frames,
            size=size,
            judge=order.judge,
            progress=progress,
        )
        data = gif_bytes(found, limit=LARGEST)
        if len(data) <= LARGEST:
            return found, data
    raise WorkspaceError(
        f"The film of {order.arm} stays over {LARGEST:,} bytes.", "Its episode is not shown."
    )


def _still(gif: bytes) -> bytes:
    """The first frame as PNG: what is shown in print, and to whoever wants no movement."""
    from PIL import Image

    out = io.BytesIO()
    with Image.open(io.BytesIO(gif)) as picture:
        picture.convert("RGB").save(out, format="PNG", optimize=True)
    return out.getvalue()


def _orders(workspace: Workspace, run: str, seed: int, media: Path) -> list[FilmOrder]:
    """One order for each filmed arm that has a policy."""
    try:
        card = EnvCard.model_validate(workspace.document(run, "card"))
    except ValidationError:
        return []
    episode = seeds(seed, "confirm_eval", 1)[0]
    found = ((name, _first_training(workspace, run, name)) for name in FILMED_ARMS)
    return [
        FilmOrder(
            arm=name,
            policy_folder=str(workspace.root / policy.path),
            policy_hash=policy.hash,
            environment=card.spec,
            seed=episode,
            training_seed=training_seed,
            judge=card.judge,
            media=str(media),
        )
        for name, training in found
        if training is not None
        for training_seed, policy in [training]
    ]


def _first_training(workspace: Workspace, run: str, arm: str) -> tuple[int, PolicyRef] | None:
    """Seed and policy of the arm's first training that has one."""
    try:
        steps = Arm.model_validate(workspace.document(run, f"arm:{arm}")).trainings
        trainings = [Training.model_validate(workspace.step(step)) for step in steps]
    except ValidationError:
        return None
    return next(((one.seed, one.policy) for one in trainings if one.policy is not None), None)


def _is_filmed(order: FilmOrder) -> bool:
    """Whether this very episode of this very policy is there; what could not be filmed may be tried again."""
    media = Path(order.media)
    note = _note(media / f"{order.arm}.json")
    same = note is not None and not note.error and (note.policy, note.seed) == (order.policy_hash, order.seed)
    return same and (media / f"{order.arm}.gif").is_file()


def _note(path: Path) -> FilmNote | None:
    try:
        return FilmNote.model_validate_json(path.read_bytes())
    except (OSError, ValidationError):
        return None


def _film_all(orders: list[FilmOrder], executor: Executor | None, interrupt: Callable[[], bool]) -> None:
    hands: Executor = LocalExecutor(len(orders)) if executor is None else executor
    jobs = [Job(id=order.arm, kind="film", payload=order.model_dump(mode="json")) for order in orders]
    by_arm = {order.arm: order for order in orders}
    try:
        for result in hands.run(jobs, role="film", progress=lambda *_: None, interrupt=interrupt):
            if not result.ok:
                _write_failure(by_arm[result.id], result)
    finally:
        if executor is None:
            hands.close()


def _write_failure(order: FilmOrder, result: JobResult) -> None:
    media = Path(order.media)
    for ending in ("gif", "png"):
        (media / f"{order.arm}.{ending}").unlink(missing_ok=True)
    words = (result.message or result.error or "the worker failed").strip()[:500]
    write_atomic(media / f"{order.arm}.json", order.note(error=words).model_dump_json(indent=2))
