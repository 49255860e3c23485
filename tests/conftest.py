"""What every test needs: one thread per process, no settings of this machine's user, and the strangers in reach.

The environment variables are set here, before anything imports numpy, and processes that tests start inherit them.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PLACES = [str(ROOT / "tests" / "strangers")]

for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMEXPR_NUM_THREADS"):
    os.environ[name] = "1"
for name in [name for name in os.environ if name.startswith("EXPERIMENTER_")]:
    del os.environ[name]
os.environ.update(
    EXPERIMENTER_FILMS="false",
    LANGGRAPH_STRICT_MSGPACK="true",
    MPLBACKEND="Agg",
    PYGAME_HIDE_SUPPORT_PROMPT="1",
    SDL_VIDEODRIVER="dummy",
    SDL_AUDIODRIVER="dummy",
    XDG_CONFIG_HOME=str(ROOT / "tests" / "no-such-user"),
    PYTHONPATH=os.pathsep.join([*PLACES, *filter(None, [os.environ.get("PYTHONPATH")])]),
)
for place in PLACES:
    if place not in sys.path:
        sys.path.insert(0, place)

import pytest  # noqa: E402


@pytest.fixture
def workspace(tmp_path: Path) -> Path:
    """A folder for a workspace that does not exist yet."""
    return tmp_path / "experiments"


@pytest.fixture
def fast(workspace: Path) -> dict[str, object]:
    """Settings with which a whole run ends in seconds; the budget comes from the test."""
    return {
        "workspace": str(workspace),
        "memory": "off",
        "controls": "none",
        "confirm_seeds": 2,
        "designs": 2,
        "workers": 1,
        "chunk_steps": 2048,
        "card_steps": 200,
        "eval_episodes": 4,
    }
