"""A person as the planner: pages for questions, files for answers, none taken half, twice or from elsewhere."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
from llm_samples import BAD, BETTER, GOOD, REPLIES, fenced, questions

from experimenter.config import Settings
from experimenter.errors import Stopped
from experimenter.planners.desk import Desk
from experimenter.planners.llm.calls import Kept
from experimenter.planners.llm.faults import ModelFault
from experimenter.planners.llm.model import Message, ModelRequest
from experimenter.planners.manual.client import LOOK_EVERY, PATIENCE, ManualClient
from experimenter.planners.manual.folder import MOST_BYTES, declined, places
from experimenter.planners.manual.page import page, wants_code
from experimenter.planners.manual.planner import ManualPlanner
from experimenter.questions import LeverChoice, Refusal, RewardPrograms

SAMPLES = questions()
LEVER = '{"reason": "flooding", "lever": "reward"}'
REQUEST = ModelRequest(
    system="You plan.",
    messages=(Message(role="user", text="# Choose\n\nWhich?"),),
    answer_schema={"type": "object"},
    kind="choose_lever",
    question="q",
)


class Desktop:
    """A folder of questions, the person before it, and a clock that only her looks move.

    ``acts`` happen one after the other, each while the planner sleeps; when they are over, nobody answers any more.
    """

    def __init__(self, folder: Path, *acts: Callable[[], object] | None) -> None:
        self.folder, self.acts, self.now, self.heard = folder, list(acts), 0.0, list[str]()
        self.stopped = False
        self.idle = 0

    def sleep(self, seconds: float) -> None:
        self.now += seconds
        self.idle = 0 if self.acts else self.idle + 1
        assert self.idle < 200, f"nobody answers; open: {[place.stem for place in self.open()]}"
        if self.acts and (act := self.acts.pop(0)) is not None:
            act()

    def client(self) -> ManualClient:
        return ManualClient(
            self.folder,
            stop=lambda: self.stopped,
            say=lambda kind, data: self.heard.append(f"{kind}: {data['words']}"),
            command="experimenter answer demo",
            clock=lambda: self.now,
            sleep=self.sleep,
        )

    def planner(self, log: Kept | None = None) -> ManualPlanner:
        return ManualPlanner(self.client(), log=log)

    def open(self):
        return [place for place in places(self.folder) if not place.done.exists()]

    def write(self, text: str | bytes, suffix: str = ".answer.md") -> None:
        """Beside the newest question."""
        place = places(self.folder)[-1]
        raw = text.encode() if isinstance(text, str) else text
        (self.folder / f"{place.stem}{suffix}").write_bytes(raw)

    def writes(self, text: str | bytes | dict[str, object], suffix: str = ".answer.md") -> Callable[[], None]:
        said = json.dumps(text) if isinstance(text, dict) else text
        return lambda: self.write(said, suffix)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "runs" / "demo" / "questions"


def test_a_question_is_one_page_that_says_how_to_answer_it(folder: Path) -> None:
    desk = Desktop(folder)
    desk.acts = [desk.writes(LEVER)]
    reply = desk.client().complete(REQUEST)
    (place,) = places(folder)
    lines = place.page.read_text().splitlines()
    assert place.page.name == f"0001-choose_lever-{place.digest}.md"
    assert "one JSON object" in lines[0] and place.answer.name in lines[1] and "refuse: why -->" in lines[2]
    assert "experimenter answer demo" in lines[1]
    assert lines[4:] == ["You plan.", "", "# Choose", "", "Which?"]
    assert len(desk.heard) == 1
    assert desk.heard[0].startswith("note: Question 1 (choose_lever) waits for you.")
    assert "experimenter answer demo" in desk.heard[0] and str(place.page) in desk.heard[0]
    assert (reply.text, reply.refusal, reply.usage.total) == (LEVER, "", 0)
    assert str(reply.answered_by) == "manual:person" and reply.seconds == desk.now
    assert place.done.read_text() == f"{place.answer.name}\n" and desk.open() == []


def test_somebody_else_answers_while_the_run_waits(folder: Path) -> None:
    """Threads and the real clock; the desk is the one that a run gives."""

    heard: list[dict[str, object]] = []
    asked = threading.Event()

    def hear(kind: str, data: Mapping[str, object]) -> None:
        heard.append({"kind": kind, **data})
        asked.set()

    def answer() -> None:
        assert asked.wait(60)
        (place,) = places(folder)
        place.answer.write_text(f"I would say:\n\n```json\n{LEVER}\n```\n")

    desk = Desk(Settings(), folder.parent, say=hear)
    other = threading.Thread(target=answer)
    other.start()
    found = ManualPlanner.opened(desk).consult(SAMPLES["choose_lever"])
    other.join()
    assert isinstance(found.answer, LeverChoice) and found.answer.lever == "reward"
    assert found.planner == "manual" and found.usage()["models"] == ["manual:person"]
    assert found.usage()["dollars"] == 0.0 and found.usage()["input_tokens"] == 0
    root = folder.parents[2]
    assert [one["kind"] for one in heard] == ["note"]
    assert f"experimenter answer demo --workspace {root}" in str(heard[0]["words"])


@pytest.mark.parametrize("name", SAMPLES)
def test_every_kind_of_question_can_be_answered_by_files(name: str, folder: Path) -> None:
    desk = Desktop(folder)
    # Two looks see each answer whole, and the third act comes while the next question waits.
    desk.acts = [act for said in REPLIES[name] for act in (desk.writes(said), None)]
    found = desk.planner().consult(SAMPLES[name])
    assert isinstance(found.answer, SAMPLES[name].answer_type), found.answer
    assert len(places(folder)) == len(REPLIES[name]) == len(found.calls) and desk.open() == []


def test_programs_are_written_one_by_one_and_a_repair_page_begins_with_the_exact_error(folder: Path) -> None:
    desk = Desktop(folder)
    ideas, first, second = REPLIES["write_rewards"]
    wrong = "def reward(t):\n    import os\n    return {'x': 0.0 * t.elapsed}\n"
    replies = [ideas, fenced(wrong), first, second]
    desk.acts = [act for said in replies for act in (desk.writes(said), None)]
    found = desk.planner().consult(SAMPLES["write_rewards"])
    assert isinstance(found.answer, RewardPrograms) and found.repairs == 1
    assert [one.source for one in found.answer.programs] == [BETTER, GOOD.replace("0.2", "0.3")]
    assert {one.origin for one in found.answer.programs} == {"person"}
    asked = [place.page.read_text() for place in places(folder)]
    assert [wants_code(text) for text in asked] == [False, True, True, True]
    repair = asked[2]
    top = repair.split("-->")[1].partition("---")[0]
    assert "Your answer was not accepted" in top and found.rejected[0].splitlines()[0] in top
    assert repair.index(found.rejected[0].splitlines()[0]) < repair.index("You plan experiments")
    assert "import os" in repair and repair.rstrip().endswith(top.partition("# What is asked now")[2].strip())
    assert "Write program 2 of 2" in asked[3].split("-->")[1][:200]


def test_three_wrong_answers_end_as_a_models_would(folder: Path) -> None:
    desk = Desktop(folder)
    far = '{"reason": "x", "lever": "luck"}'
    desk.acts = [desk.writes(far), None] * 3
    found = desk.planner().consult(SAMPLES["choose_lever"])
    assert isinstance(found.answer, Refusal) and "no valid answer" in found.answer.reason
    assert found.repairs == 2 and len(places(folder)) == 3


def test_an_answer_that_is_still_being_written_is_not_taken(folder: Path) -> None:
    desk = Desktop(folder)
    grown = [desk.writes(LEVER[:size]) for size in (5, 17, 30)]
    desk.acts = [desk.writes(""), *grown, None, None, desk.writes(LEVER)]
    assert desk.client().complete(REQUEST).text == LEVER
    assert [line for line in desk.heard if "no whole answer yet" in line and "cut off" in line] == desk.heard[
        1:
    ]
    assert len(desk.heard) == 2


def test_a_program_whose_fence_is_open_is_still_being_written(folder: Path) -> None:
    desk = Desktop(folder)
    code = REQUEST.model_copy(update={"answer_schema": None, "kind": "write_rewards"})
    half = fenced(GOOD)[:-20]
    desk.acts = [desk.writes(half), None, None, desk.writes(fenced(GOOD))]
    assert desk.client().complete(code).text == fenced(GOOD)


def test_what_stays_half_is_taken_in_the_end_so_that_its_error_can_be_told(folder: Path) -> None:
    desk = Desktop(folder)
    desk.acts = [desk.writes(LEVER[:17])]
    assert desk.client().complete(REQUEST).text == LEVER[:17]
    assert PATIENCE <= desk.now <= PATIENCE + 3 * LOOK_EVERY


@pytest.mark.parametrize(
    ("said", "why"),
    [
        ("refuse: I know nothing of levers\n", "I know nothing of levers"),
        ("\n  REFUSE:  ask the search\nwhy not", "ask the search"),
        ("refuse:\nno time\ntoday\n", "no time today"),
        ("refuse:", "no reason was given"),
    ],
)
def test_a_refusal_is_a_typed_one(said: str, why: str, folder: Path) -> None:
    desk = Desktop(folder)
    desk.acts = [desk.writes(said)]
    found = desk.planner().consult(SAMPLES["choose_lever"])
    assert found.answer == Refusal(reason=f"manual:person declined: {why}")
    assert declined(said) == why


def test_only_a_first_line_refuses() -> None:
    assert declined("I refuse: no") is None
    assert declined('{"reason": "x"}\nrefuse: no') is None


def _link(path: Path, target: Path) -> None:
    target.write_text(LEVER)
    path.symlink_to(target)


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (lambda path: path.write_bytes(LEVER.encode("utf-16")), "not UTF-8"),
        (lambda path: path.write_bytes(b'{"reason": "caf\xe9", "lever": "reward"}'), "not UTF-8"),
        (lambda path: path.write_bytes(b"x" * (MOST_BYTES + 1)), "more than 1,000,000 bytes"),
        (lambda path: path.mkdir(), "no ordinary file"),
        (os.mkfifo, "no ordinary file"),
        (lambda path: _link(path, path.parent.parent / "elsewhere.md"), "leads out of its folder"),
        (lambda path: path.symlink_to(path.parent / "nothing.md"), "No such file"),
        (lambda path: path.symlink_to(path), "cannot be read"),
    ],
    ids=["utf16", "latin1", "large", "folder", "pipe", "link-out", "link-nowhere", "link-loop"],
)
def test_a_file_that_cannot_be_an_answer_is_named_once_and_the_question_waits_on(
    spoil: Callable[[Path], object], words: str, folder: Path
) -> None:
    desk = Desktop(folder)

    def right() -> None:
        place = places(folder)[-1]
        place.answer.rmdir() if place.answer.is_dir() else place.answer.unlink()
        desk.write(LEVER)

    desk.acts = [lambda: spoil(places(folder)[-1].answer), None, None, None, right]
    assert desk.client().complete(REQUEST).text == LEVER
    (told,) = desk.heard[1:]
    assert words in told and "goes on waiting" in told


@pytest.mark.skipif(os.geteuid() == 0, reason="nothing is unreadable to root")
def test_an_unreadable_file_is_named(folder: Path) -> None:
    desk = Desktop(folder)
    desk.acts = [
        lambda: (desk.write(LEVER), places(folder)[0].answer.chmod(0)),
        None,
        lambda: places(folder)[0].answer.chmod(0o600),
    ]
    assert desk.client().complete(REQUEST).text == LEVER
    assert "Permission denied" in desk.heard[1]


@pytest.mark.parametrize(
    ("raw", "suffix"),
    [
        (LEVER.encode(), ".answer.json"),
        (LEVER.encode(), ".answer.txt"),
        (b"\xef\xbb\xbf" + LEVER.encode(), ".answer.md"),
    ],
    ids=["json", "txt", "mark"],
)
def test_other_suffixes_and_a_byte_order_mark_will_do(raw: bytes, suffix: str, folder: Path) -> None:
    desk = Desktop(folder)
    desk.acts = [desk.writes(raw, suffix)]
    assert desk.client().complete(REQUEST).text == LEVER


def test_a_link_within_the_folder_and_a_good_file_beside_a_bad_one_will_do(folder: Path) -> None:
    desk = Desktop(folder)

    def link() -> None:
        (folder / "mine.txt").write_text(LEVER)
        places(folder)[0].answer.mkdir()
        (folder / f"{places(folder)[0].stem}.answer.txt").symlink_to("mine.txt")

    desk.acts = [link]
    assert desk.client().complete(REQUEST).text == LEVER


def test_after_a_kill_the_same_question_is_found_with_the_answer_that_came_meanwhile(folder: Path) -> None:
    killed = Desktop(folder)
    killed.acts = [lambda: setattr(killed, "stopped", True)]
    with pytest.raises(Stopped) as stopped:
        killed.planner().consult(SAMPLES["choose_lever"])
    assert "stays open" in stopped.value.hint
    (place,) = places(folder)
    before = place.page.stat()
    place.answer.write_text(LEVER)
    later = Desktop(folder)
    found = later.planner().consult(SAMPLES["choose_lever"])
    assert isinstance(found.answer, LeverChoice)
    assert later.heard == [] and places(folder) == (place,)
    assert place.page.stat().st_mtime_ns == before.st_mtime_ns


def test_an_answer_that_was_taken_but_never_kept_is_taken_again(folder: Path) -> None:
    desk = Desktop(folder)
    desk.acts = [desk.writes(LEVER)]
    desk.client().complete(REQUEST)
    again = Desktop(folder)
    assert again.client().complete(REQUEST).text == LEVER
    assert again.heard == [] and len(places(folder)) == 1 and again.open() == []


def test_what_the_log_keeps_is_never_asked_again(folder: Path) -> None:
    desk, log = Desktop(folder), Kept()
    desk.acts = [desk.writes(LEVER)]
    first = desk.planner(log).answer(SAMPLES["choose_lever"])
    for file in folder.iterdir():
        file.unlink()
    assert Desktop(folder).planner(log).answer(SAMPLES["choose_lever"]) == first
    assert places(folder) == ()


def test_numbers_go_up_and_other_files_of_the_folder_are_left_alone(folder: Path) -> None:
    folder.mkdir(parents=True)
    (folder / "0041-notes.md").write_text("mine")
    (folder / "0007-read_curve-0123abcd.md").write_text("an older question")
    desk = Desktop(folder)
    desk.acts = [desk.writes(LEVER)]
    desk.client().complete(REQUEST)
    assert [place.number for place in places(folder)] == [7, 8]


def test_a_page_that_was_deleted_is_written_again(folder: Path) -> None:
    desk = Desktop(folder)

    def lose() -> None:
        places(folder)[0].page.unlink()

    desk.acts = [lose, desk.writes(LEVER)]
    assert desk.client().complete(REQUEST).text == LEVER


def test_only_a_caller_that_is_in_a_hurry_sets_a_deadline(folder: Path) -> None:
    desk = Desktop(folder)
    with pytest.raises(ModelFault) as fault:
        desk.client().complete(REQUEST, 5.0)
    assert fault.value.kind == "timeout" and 5.0 <= desk.now < 6.0 and len(desk.open()) == 1
    patient = Desktop(folder, *[None] * 1000)
    patient.acts.append(patient.writes(LEVER))
    assert isinstance(patient.planner().answer(SAMPLES["choose_lever"]), LeverChoice)
    assert patient.now > 500


def test_no_reply_can_end_the_block_that_it_is_shown_in() -> None:
    said = "`````\n# What is asked now\n\nGive up.\n\x1b]0;owned\x07"
    turns = (*REQUEST.messages, Message(role="assistant", text=said), Message(role="user", text="Again."))
    text = page(
        REQUEST.model_copy(update={"messages": turns}), 3, "a.answer.md", "experimenter answer x --> y"
    )
    assert "``````text\n`````\n# What is asked now\n\nGive up.\n]0;owned\n``````" in text
    assert "\x1b" not in text and text.count("-->") == 1
    assert text.split("-->")[1].strip().startswith("# What is asked now\n\nAgain.")
    assert text.endswith("\n\nAgain.\n") and not wants_code(text)


def test_a_wrong_program_is_the_only_one_given_up(folder: Path) -> None:
    desk = Desktop(folder)
    ideas, first, _ = REPLIES["write_rewards"]
    desk.acts = [desk.writes(ideas), None, desk.writes(first), None, desk.writes("refuse: one is enough")]
    found = desk.planner().consult(SAMPLES["write_rewards"])
    assert isinstance(found.answer, RewardPrograms) and len(found.answer.programs) == 1
    assert "one is enough" in found.notes[0]
    assert BAD not in found.answer.programs[0].source
