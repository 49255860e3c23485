"""Where a run trains is settled before it exists, and stored with it."""

from __future__ import annotations

from pathlib import Path

import pytest

from experimenter.config import Settings
from experimenter.errors import UsageError
from experimenter.loop.preparation import prepare
from experimenter.records import EnvSpec
from experimenter.rl.devices import cuda_name
from experimenter.workspace.store import Workspace


def _settings(workspace: Path, device: str) -> Settings:
    told = {"workspace": str(workspace), "budget_steps": 200_000, "card_steps": 200, "memory": "off"}
    return Settings.model_validate(told | {"controls": "none", "device": device})


def test_the_choice_is_stored_with_the_run(workspace: Path) -> None:
    prepared = prepare("keep it up", "CartPole-v1", {}, _settings(workspace, "auto"))
    assert prepared.card.spec == EnvSpec(id="CartPole-v1")
    with Workspace.open(workspace) as store:
        stored = store.document(prepared.record.id, "device")
    assert stored["device"] == "cpu"
    assert "perceptrons" in stored["reason"]


@pytest.mark.skipif(cuda_name() is not None, reason="a graphics card is present")
def test_a_card_that_is_missing_is_said_before_the_run_exists(workspace: Path) -> None:
    with pytest.raises(UsageError, match="graphics card"):
        prepare("keep it up", "CartPole-v1", {}, _settings(workspace, "cuda"))
    with Workspace.open(workspace) as store:
        assert store.run_names() == ()
