"""What is refused before a run exists."""

from __future__ import annotations

from pathlib import Path

import pytest

from experimenter.api import Experimenter
from experimenter.cli import main
from experimenter.errors import ConfigError


@pytest.mark.parametrize(
    ("visibility", "words", "hint"),
    [
        ("hidden", "promotes designs by preference, and none is installed", "open"),
        ("hiden", "open or hidden, not 'hiden'", "Did you mean hidden?"),
        ("", "open or hidden", ""),
    ],
)
def test_a_judge_that_cannot_be_hidden_is_not_half_hidden(
    workspace: Path, visibility: str, words: str, hint: str, capsys: pytest.CaptureFixture[str]
) -> None:
    agent = Experimenter("CartPole-v1", judge_visibility=visibility, workspace=workspace, budget_steps=20_000)
    with pytest.raises(ConfigError, match=words) as caught:
        agent.run("keep it up")
    assert hint in caught.value.hint
    command = ["run", "keep it up", "--env", "CartPole-v1", "--workspace", str(workspace)]
    assert main([*command, "--judge-visibility", visibility]) == 2
    assert words in capsys.readouterr().err
    assert not workspace.exists()
