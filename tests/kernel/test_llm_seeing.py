"""Models that can see: curves and strips of frames, two rollouts at a time, and words where a model sees nothing."""

from __future__ import annotations

import io
import json

import numpy as np
import pytest
from llm_samples import curve
from PIL import Image

from experimenter.planners.llm.asking import Limits
from experimenter.planners.llm.clients import open_model
from experimenter.planners.llm.estimating import estimated_tokens
from experimenter.planners.llm.names import parse_model
from experimenter.planners.llm.planner import LLMPlanner
from experimenter.planners.llm.seeing import by_pairs, curve_png, strip_png
from experimenter.questions import RankRollouts, ReadCurve, Refusal, RolloutRanking, RolloutSummary
from experimenter.testing.models import FakeModels

CURVE = ReadCurve(points=curve(0.0, 0.1, 0.3, 0.32, 0.5, 0.55, 0.61, 0.7), target=0.9)
READ = {"seen": "It rises.", "state": "improving", "keep_training": True}


def frames(brightness, count=9, size=(40, 60)):
    return [np.full((*size, 3), brightness, np.uint8) for _ in range(count)]


def rollouts(*brightnesses):
    return RankRollouts(
        rollouts=tuple(
            RolloutSummary(id=f"r{value}", hidden_score=0.0, strip=strip_png(frames(value)))
            for value in brightnesses
        ),
        seed=3,
    )


def brightness(png: bytes) -> int:
    return int(np.asarray(Image.open(io.BytesIO(png)))[0, 0, 0])


def looking(asked):
    """A model that prefers what is brighter, and says so about the two that it is shown."""
    named = json.loads(f"[{asked.turns[-1][1].rsplit('in this order: ', 1)[1].rstrip('.')}]")
    seen = dict(zip(named, map(brightness, asked.images), strict=True))
    return json.dumps({"reason": "It is brighter.", "order": sorted(seen, key=lambda name: -seen[name])})


def seeing(server, **changes):
    client = open_model(parse_model("anthropic:m"), server.environ())
    return LLMPlanner(lambda role: client, limits=Limits(call_seconds=10), **changes)


def test_a_curve_is_shown_as_a_plot_only_where_that_is_wanted() -> None:
    with FakeModels([json.dumps(READ)]) as server:
        seeing(server, images=True).answer(CURVE)
        seeing(server).answer(CURVE)
    first, second = server.asked
    assert len(first.images) == 1 and Image.open(io.BytesIO(first.images[0])).size == (480, 320)
    assert "The picture shows the same curve." in first.turns[0][1] and "0.32" in first.turns[0][1]
    assert second.images == () and "picture" not in second.turns[0][1]
    assert curve_png(CURVE.points, 0.9) == curve_png(CURVE.points, 0.9), "the same call has the same id"


def test_rollouts_are_ranked_by_pairs_of_pictures_and_every_call_is_counted() -> None:
    question = rollouts(40, 200, 10, 120, 90)
    with FakeModels(looking) as server:
        found = seeing(server, images=True).consult(question)
    assert found.answer == RolloutRanking(order=("r200", "r120", "r90", "r40", "r10"))
    assert {len(asked.images) for asked in server.asked} == {2}
    assert len(server.asked) == len(found.calls) <= 8, "five are ordered by at most 0+1+2+2+3 comparisons"
    assert found.notes == (f"{len(server.asked)} pairs of rollouts were compared by their pictures.",)
    usage = found.usage()
    assert usage["input_tokens"] == sum(tokens.input for tokens in server.billed)
    assert found.calls[0].request.messages[0].images and estimated_tokens(found.calls[0].request) > 3_200


def test_the_order_of_a_pair_is_drawn_so_that_a_liking_for_the_first_is_no_ranking() -> None:
    question = rollouts(*range(10, 250, 8))
    first: list[bool] = []

    def better(pair):
        ids = [rollout.id for rollout in pair.rollouts]
        first.append(ids[0] < ids[1])
        return tuple(sorted(ids, key=lambda name: -int(name[1:])))

    order, compared = by_pairs(question, better)
    assert [int(name[1:]) for name in order] == sorted(range(10, 250, 8), reverse=True)
    assert compared == len(first) and 0.25 < sum(first) / len(first) < 0.75
    assert by_pairs(question, better)[0] == order


def test_without_images_wordless_rollouts_are_refused_and_a_blind_service_is_asked_in_words() -> None:
    question = rollouts(40, 200)
    with FakeModels([json.dumps(READ)]) as server:
        assert isinstance(seeing(server).answer(question), Refusal) and not server.asked

    def blind(asked):
        return json.dumps(READ)

    with FakeModels(blind, sees=False) as server:
        found = seeing(server, images=True).consult(CURVE)
    assert found.answer.state == "improving"
    assert "takes no pictures; it is asked in words" in found.notes[-1]
    assert all(not asked.images for asked in server.asked)


@pytest.mark.parametrize("count", [1, 2, 6, 300])
def test_a_strip_holds_the_first_and_the_last_frame_and_stays_small(count) -> None:
    shades = np.linspace(10, 240, count).astype(int)
    strip = strip_png([np.full((96, 128, 3), shade, np.uint8) for shade in shades])
    picture = np.asarray(Image.open(io.BytesIO(strip)))
    assert picture[0, 0, 0] == shades[0] and picture[0, -1, 0] == shades[-1]
    assert picture.shape[0] <= 128 and picture.shape[1] <= 1_536 and len(strip) < 100_000
    with pytest.raises(ValueError, match="at least one frame"):
        strip_png([])


def test_a_question_without_a_strip_is_written_as_it_always_was() -> None:
    plain = RolloutSummary(id="a", hidden_score=0.5, words="walks")
    assert plain.model_dump(mode="json") == {"v": 1, "id": "a", "hidden_score": 0.5, "words": "walks"}
    shown = rollouts(40)
    assert RankRollouts.model_validate_json(shown.model_dump_json()) == shown
