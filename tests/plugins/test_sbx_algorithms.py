"""SBX's algorithms in our trainings: the same policies, the same bytes after a kill."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from experimenter.errors import UsageError
from experimenter.records import OffPolicySettings
from experimenter.rl.algorithms import algorithm
from experimenter.rl.training import train
from tests.kernel.rl_samples import lasting, quiet
from tests.plugins.algorithm_samples import blank_policy, sample_job

pytest.importorskip("sbx")

NAMES = ("sbx-sac", "sbx-tqc", "sbx-td3")


def _model(name: str, policy: Any) -> Any:
    return algorithm(name).model()(policy, OffPolicySettings(), np.random.default_rng(3))  # type: ignore[attr-defined]


@pytest.mark.parametrize("name", NAMES)
def test_a_converted_policy_acts_as_the_librarys_own_does(name: str) -> None:
    policy = blank_policy(name)
    model = _model(name, policy)
    # Weights that no initialisation gives, so that every bias counts.
    model.adopt()
    for array in policy.params.values():
        array[...] = 0.0
    model.show()
    seen = 3 * np.random.default_rng(0).standard_normal((1000, 5)).astype(np.float32)
    expected, _ = model.model.predict(seen, deterministic=True)
    found = policy.act(seen, "greedy", np.random.default_rng(0))
    assert len(np.unique(found, axis=0)) > 500
    np.testing.assert_allclose(found, policy.head.execute(expected), atol=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_a_training_that_is_cut_short_goes_on_with_the_same_bytes(tmp_path: Path, name: str) -> None:
    at_once = train(sample_job(tmp_path / "a", name), quiet)
    cut = sample_job(tmp_path / "b", name, until=256)
    assert train(cut, quiet).curve == at_once.curve[:2]
    assert lasting(train(cut.model_copy(update={"until": 512}), quiet)) == lasting(at_once)
    assert lasting(train(sample_job(tmp_path / "c", name, seed=12), quiet)) != lasting(at_once)


def test_an_extra_that_is_not_installed_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "jax", None)
    with pytest.raises(UsageError, match=r"sbx-sac needs jax.*rl-experimenter\[sbx\]"):
        train(sample_job(tmp_path, "sbx-sac"), quiet)
