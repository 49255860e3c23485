"""Films of winner and control: the same held-out episode, made once, embedded safely, and never a reason to fail."""

from __future__ import annotations

import base64
import io
import json
import re
from pathlib import Path

import gymnasium
import numpy as np
import pytest
from run_samples import HOSTILE, SPEC, begin, card, design, finish
from run_samples import training as sample_training

from experimenter.envs.pipeline import Pipeline
from experimenter.envs.spaces import space_to_json
from experimenter.execution.filming import film_run
from experimenter.identity import seeds
from experimenter.judge.statistics import interval
from experimenter.policies.network import initial_params, views
from experimenter.policies.policy import Policy, save_policy
from experimenter.records import Arm, EnvSpec, Network, PolicyRef, TrueReturn
from experimenter.records.films import FilmNote
from experimenter.report import write_report
from experimenter.report.films import caption, read_films
from experimenter.workspace.store import Workspace

RUN = "reach_the_flag"
PIXEL = base64.b64decode("R0lGODlhAQABAAAAACH5BAEAAAAALAAAAAABAAEAAAICRAEAOw==")


def keep_policy(root: Path, arm: str, spec: EnvSpec = SPEC) -> PolicyRef:
    """An untrained policy, stored as a run stores one."""
    with gymnasium.make(spec.id) as env:
        pipeline = Pipeline.for_space(env.observation_space)
        spaces = space_to_json(env.observation_space), space_to_json(env.action_space)
    policy = Policy(pipeline, None, Network(hidden=(8,)), {}, *spaces)
    policy.params = views(initial_params(policy.shape, np.random.default_rng(3)), policy.shape)
    place = f"runs/{RUN}/arms/{arm}/0"
    return PolicyRef(path=place, hash=save_policy(root / place, policy), lineage_steps=10)


def put_arm(store: Workspace, name: str, policy: PolicyRef | None) -> None:
    step = name[0] * 32
    one = sample_training(step, design(name, 100), 4, -120.0, 1.0).model_copy(update={"policy": policy})
    store.finish_step(RUN, step, "train", one.model_dump(mode="json"))
    scores = (TrueReturn(-120.0),)
    arm = Arm(name=name, trainings=(step,), scores=scores, interval=interval(scores, 0))
    store.put_document(RUN, f"arm:{name}", arm.model_dump(mode="json"))


def note(arm: str, **what: object) -> FilmNote:
    return FilmNote.model_validate(
        {"arm": arm, "policy": "a" * 32, "environment": SPEC.model_dump(), "seed": 5, **what}
    )


def put_film(folder: Path, one: FilmNote, gif: bytes = b"") -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{one.arm}.json").write_text(one.model_dump_json())
    if gif:
        (folder / f"{one.arm}.gif").write_bytes(gif)


def test_winner_and_control_play_the_first_held_out_episode(workspace: Path) -> None:
    from PIL import Image

    with Workspace.open(workspace) as store:
        begin(store)
        put_arm(store, "winner", keep_policy(workspace, "winner"))
        damaged = keep_policy(workspace, "native").model_copy(update={"hash": "0" * 32})
        put_arm(store, "native", damaged)
        winner, native = film_run(store, RUN)
        media = workspace / "runs" / RUN / "media"
        assert winner.seed == native.seed == seeds(7, "confirm_eval", 20)[0]
        assert winner.training_seed == 4 and winner.native_return == -200.0 and winner.success is False
        with Image.open(media / "winner.gif") as gif, Image.open(media / "winner.png") as still:
            assert gif.format == "GIF" and winner.frames >= gif.n_frames > 10
            assert still.format == "PNG" and still.size == gif.size
        assert native.error and not (media / "native.gif").exists()
        before = (media / "winner.gif").stat().st_mtime_ns
        assert film_run(store, RUN)[0] == winner and (media / "winner.gif").stat().st_mtime_ns == before
        text = write_report(store, RUN).read_text()
    data = base64.b64encode((media / "winner.gif").read_bytes()).decode()
    assert f'src="data:image/gif;base64,{data}"' in text
    assert f"Episode seed {winner.seed}: native return −200, no success, 200 steps" in text
    assert "Native control could not be filmed" in text
    assert re.search(r'media="\(prefers-reduced-motion: reduce\)" srcset="data:image/png;base64,', text)
    assert re.search(r'media="print" srcset="data:image/png;base64,', text)


def test_an_environment_that_draws_nothing_only_leads_to_a_sentence(workspace: Path) -> None:
    spec = EnvSpec(id="stranger_envs:SwitchCorridor-v0")
    with Workspace.open(workspace) as store:
        begin(store)
        shown = card().model_copy(update={"spec": spec})
        store.put_document(RUN, "card", shown.model_dump(mode="json"))
        put_arm(store, "winner", keep_policy(workspace, "winner", spec))
        (found,) = film_run(store, RUN)
        assert found.error and found.native_return is None
        assert "Winner could not be filmed" in write_report(store, RUN).read_text()


def test_without_a_confirmation_nothing_is_filmed(workspace: Path) -> None:
    with Workspace.open(workspace) as store:
        begin(store)
        assert film_run(store, RUN) == ()
        put_arm(store, "winner", None)
        assert film_run(store, RUN) == ()
        assert "How they act" not in write_report(store, RUN).read_text()


def test_only_real_pictures_are_embedded(tmp_path: Path) -> None:
    put_film(tmp_path, note("winner", native_return=1.0), PIXEL)
    put_film(tmp_path, note("native", native_return=1.0), b"<svg onload=alert(1)>")
    put_film(tmp_path, note("random").model_copy(update={"arm": "winner"}))
    (tmp_path / "random.json").write_text(json.dumps({"arm": "random"}))
    found = read_films(tmp_path)
    assert [(one.note.arm, one.gif) for one in found] == [("winner", PIXEL)]
    (tmp_path / "winner.gif").write_bytes(b"GIF89a" + bytes(2_000_001))
    assert read_films(tmp_path) == ()
    assert read_films(tmp_path / "none") == ()


def test_a_hostile_error_stays_text(workspace: Path) -> None:
    with Workspace.open(workspace) as store:
        begin(store)
        finish(store)
        put_film(workspace / "runs" / RUN / "media", note("native", error=HOSTILE))
        text = write_report(store, RUN).read_text()
    assert "<script" not in text and "\x1b" not in text and "could not be filmed" in text


@pytest.mark.parametrize(
    ("what", "words"),
    [
        ({"native_return": 12.0, "success": True, "length": 1500}, "native return 12, success, 1,500 steps."),
        ({"native_return": -3.5, "speed": 4.0, "length": 9}, "return −3.5, 9 steps, shown 4 times as fast."),
    ],
)
def test_captions_say_what_is_seen(what: dict[str, object], words: str) -> None:
    assert caption(note("winner", **what)).endswith(words)
    assert io.StringIO(caption(note("winner", **what))).readline().startswith("Episode seed 5:")
