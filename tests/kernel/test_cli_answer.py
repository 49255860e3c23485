"""``experimenter answer``: from a file, a pipe, an editor or a refusal; the first answer counts, and slips are told."""

from __future__ import annotations

import io
import json
import sys
import threading
from pathlib import Path

import pytest
from run_samples import begin

from experimenter.cli import main
from experimenter.cli.answering import answer
from experimenter.cli.app import app
from experimenter.cli.writing import CUT
from experimenter.errors import ExperimenterError, Stopped
from experimenter.planners.llm.model import Message, ModelReply, ModelRequest
from experimenter.planners.manual.client import ManualClient
from experimenter.planners.manual.folder import Place, leave, places
from experimenter.workspace.locks import RunLock
from experimenter.workspace.store import Workspace

RUN = "reach_the_flag"
LEVER = '{"reason": "flooding", "lever": "reward"}'
CODE = "```python\ndef reward(t):\n    return {'x': 0.0 * t.elapsed}\n```\n"


def request(kind: str = "choose_lever", *, code: bool = False) -> ModelRequest:
    return ModelRequest(
        system="You plan.",
        messages=(Message(role="user", text=f"# {kind}\n\nWhich?"),),
        answer_schema=None if code else {"type": "object"},
        kind=kind,
    )


@pytest.fixture
def folder(workspace: Path) -> Path:
    """The questions of a run that nobody runs at the moment; one is open."""
    with Workspace.open(workspace) as store:
        begin(store)
        folder = store.run_folder(RUN) / "questions"
    ask(folder)
    return folder


def ask(folder: Path, kind: str = "choose_lever", *, code: bool = False) -> Place:
    """The question as a run leaves it that was stopped while it waited."""
    with pytest.raises(Stopped):
        ManualClient(folder, stop=lambda: True).complete(request(kind, code=code))
    return places(folder)[-1]


def taken(folder: Path) -> ModelReply:
    """What the run that goes on makes of the answer."""
    return ManualClient(folder, sleep=lambda seconds: None).complete(request(), 60.0)


@pytest.fixture
def say(workspace: Path, capsys: pytest.CaptureFixture[str]):
    """Runs the command; gives its exit code, stdout and stderr."""

    def run(*words: str) -> tuple[int, str, str]:
        capsys.readouterr()
        code = main(["answer", *words, "--workspace", str(workspace)])
        told = capsys.readouterr()
        return code, told.out, told.err

    return run


@pytest.fixture
def pipe(monkeypatch: pytest.MonkeyPatch):
    def given(raw: bytes) -> None:
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(raw)))

    return given


@pytest.fixture
def editor(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """An editor that replaces what it is given by what ``write`` (source, over ``text``) makes of it."""

    def chosen(write: str) -> None:
        script = tmp_path / "editor.py"
        script.write_text(
            "import pathlib, sys\npath = pathlib.Path(sys.argv[-1])\n"
            f"text = path.read_text(encoding='utf-8')\n{write}\npath.write_text(text, encoding='utf-8')\n"
        )
        monkeypatch.setenv("VISUAL", f"'{sys.executable}' '{script}'")

    return chosen


def test_a_file_answers_and_the_run_takes_it(folder: Path, say, tmp_path: Path) -> None:
    file = tmp_path / "mine.md"
    file.write_text(f"I think:\n\n```json\n{LEVER}\n```\n")
    code, out, err = say("--file", str(file))
    assert (code, out) == (0, "")
    assert "the answer is kept" in err and f"experimenter resume {RUN}" in err
    assert taken(folder).text == file.read_text()


def test_a_pipe_answers(folder: Path, say, pipe) -> None:
    pipe(LEVER.encode())
    code, out, _ = say(RUN, "--paste", "--json")
    told = json.loads(out)
    assert code == 0 and told["state"] == "answered" and told["number"] == 1 and told["run"] == RUN
    assert Path(told["answer"]).read_text() == LEVER
    assert taken(folder).text == LEVER


def test_a_refusal_is_one_line(folder: Path, say) -> None:
    assert say("--refuse", "I know\nnothing of it")[0] == 0
    reply = taken(folder)
    assert (reply.text, reply.refusal) == ("", "I know nothing of it")


def test_an_editor_shows_the_question_and_only_what_stands_above_it_is_sent(
    folder: Path, say, editor
) -> None:
    editor(f"assert 'Which?' in text and 'You plan.' in text\ntext = {LEVER!r} + text")
    assert say("--editor")[0] == 0
    assert taken(folder).text.strip() == LEVER


@pytest.mark.parametrize(
    ("write", "words"),
    [
        ("pass", "the answer is empty"),
        (
            f"text = {LEVER!r} + text.replace({CUT!r}, '')",
            "the line that marks the end of the answer is gone",
        ),
        (f"text = {LEVER[:20]!r} + text", "cut off"),
        ("sys.exit(3)", "ended with code 3"),
    ],
    ids=["empty", "no-line", "slip", "left"],
)
def test_what_an_editor_leaves_is_looked_over_and_never_lost(
    write: str, words: str, folder: Path, say, editor
) -> None:
    editor(write)
    code, _, err = say("--editor")
    assert code == 2 and words in err
    assert not places(folder)[0].answer.exists()
    if "--file " in err:
        kept = Path(err.rpartition("--file ")[2].strip())
        assert kept.read_text().startswith(LEVER[:20])
        kept.unlink()
    else:
        assert words in ("the answer is empty", "ended with code 3")


def test_without_an_editor_the_error_says_what_else_there_is(folder: Path, say, monkeypatch) -> None:
    monkeypatch.setenv("VISUAL", "no-such-editor --wait")
    code, _, err = say("--editor")
    assert code == 2 and "'no-such-editor' is not there" in err and "--paste" in err
    monkeypatch.delenv("VISUAL")
    monkeypatch.delenv("EDITOR", raising=False)
    monkeypatch.setenv("PATH", str(folder))
    code, _, err = say("--editor")
    assert code == 2 and "no editor is there" in err and "VISUAL" in err


@pytest.mark.parametrize(
    ("code", "raw", "words"),
    [
        (False, b"", "the answer is empty"),
        (False, b" \n\t\n", "the answer is empty"),
        (False, b"the reward, I would say", "holds no JSON object"),
        (False, b'{"lever": "reward"', "cut off"),
        (True, b"def reward(t):\n    return {}\n", "no fenced block of python"),
        (False, "{}".encode("utf-16"), "not UTF-8"),
        (False, b"{}" + b" " * 1_000_001, "more than 1,000,000 bytes"),
    ],
    ids=["empty", "blank", "words", "cut", "bare-code", "utf16", "large"],
)
def test_an_obvious_slip_is_told_at_once_and_nothing_is_sent(
    code: bool, raw: bytes, words: str, folder: Path, say, pipe
) -> None:
    place = ask(folder, "write_rewards", code=True) if code else places(folder)[0]
    pipe(raw)
    status, _, err = say("--paste")
    assert status == 2 and words in err
    assert not place.answer.exists()


def test_force_sends_a_slip_as_it_is(folder: Path, say, pipe) -> None:
    pipe(b"the reward, I would say")
    assert say("--paste", "--force")[0] == 0
    assert places(folder)[0].answer.read_text() == "the reward, I would say"


def test_a_program_is_taken_as_one(folder: Path, say, pipe) -> None:
    place = ask(folder, "write_rewards", code=True)
    pipe(CODE.encode())
    assert say("--paste")[0] == 0
    assert place.answer.read_text() == CODE


def test_of_two_at_once_the_first_counts_and_the_others_are_told(folder: Path) -> None:
    (place,) = places(folder)
    gate, told, kept = threading.Barrier(6), list[str](), list[str]()

    def write(mine: str) -> None:
        gate.wait()
        try:
            leave(place, mine)
            kept.append(mine)
        except ExperimenterError as error:
            told.append(str(error))

    threads = [threading.Thread(target=write, args=(f'{{"lever": "{i}"}}',)) for i in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(kept) == 1 and place.answer.read_text() == kept[0]
    assert len(told) == 5 and all("has an answer already" in words for words in told)


def test_an_answered_question_is_open_no_more(folder: Path, say, pipe) -> None:
    assert say("--refuse", "x")[0] == 0
    code, _, err = say("--refuse", "y")
    assert code == 2 and f"no question of run {RUN} is open" in err
    code, _, err = say("--refuse", "y", "--question", "1")
    assert code == 2 and "has an answer already" in err
    taken(folder)
    code, _, err = say("--refuse", "y", "--question", "1")
    assert code == 2 and "the run has taken the answer" in err
    code, _, err = say("--refuse", "y", "--question", "9")
    assert code == 2 and "has no question 9" in err


def test_the_newest_open_question_is_meant_unless_another_is_named(folder: Path, say) -> None:
    newest = ask(folder, "reflect")
    assert say("--refuse", "x")[0] == 0
    assert newest.answer.exists() and not places(folder)[0].answer.exists()
    assert say("--refuse", "x", "--question", "1")[0] == 0
    assert places(folder)[0].answer.exists()


def test_the_list_shows_what_is_open_and_what_cannot_be_taken(folder: Path, say) -> None:
    other = ask(folder, "reflect")
    other.answer.write_bytes(b"\xff\xfe{")
    code, out, _ = say("--list")
    assert code == 0 and "choose_lever" in out and "not UTF-8" in " ".join(out.split())
    assert out.splitlines()[-2:] == [str(place.page) for place in places(folder)]
    code, out, _ = say("--list", "--json")
    told = json.loads(out)
    assert [one["state"] for one in told["questions"]] == ["open", "unusable"] and told["run"] == RUN
    assert say("--refuse", "x")[0] == 0 and other.answer.read_text() == "refuse: x\n"
    assert say("--refuse", "x")[0] == 0
    code, out, err = say("--list")
    assert (code, out) == (0, "") and "no question" in err


def test_a_run_that_goes_on_is_said_to_take_it(folder: Path, workspace: Path, say) -> None:
    with Workspace.open(workspace) as store, RunLock(store.run_folder(RUN)):
        store.set_status(RUN, "running")
        code, _, err = say("--refuse", "x")
    assert code == 0 and f"run {RUN} takes it within seconds" in err


@pytest.mark.parametrize(
    ("words", "message", "hint"),
    [
        (("nobody", "--refuse", "x"), "nobody", "experimenter list"),
        (("--paste", "--editor"), "--editor and --paste exclude each other", ""),
        (("--list", "--paste"), "--list only shows", ""),
        ((), "nothing says where the answer to", "--paste"),
        (("--file", "/no/such/file"), "/no/such/file cannot be read", ""),
        (("--file", "/"), "/ cannot be read", ""),
    ],
)
def test_every_wrong_call_says_what_to_do(words, message, hint, folder: Path, say, pipe) -> None:
    pipe(b"")
    code, _, err = say(*words)
    assert code == 2 and message in err and hint in err and "Traceback" not in err


def test_a_run_without_questions_says_so(workspace: Path, say) -> None:
    with Workspace.open(workspace) as store:
        begin(store)
    code, _, err = say("--refuse", "x")
    assert code == 2 and "no question" in err and f"experimenter resume {RUN}" in err


class Terminal(io.TextIOWrapper):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(
    ("typed", "code", "kept"),
    [("r\nno idea\n", 0, "refuse: no idea\n"), ("f\n{file}\n", 0, LEVER), ("x\n", 2, None), ("", 130, None)],
    ids=["refuse", "file", "neither", "left"],
)
def test_on_a_terminal_it_asks_which_way(
    typed: str, code: int, kept: str | None, folder: Path, say, monkeypatch, tmp_path: Path
) -> None:
    file = tmp_path / "mine.json"
    file.write_text(LEVER)
    monkeypatch.setattr(sys, "stdin", Terminal(io.BytesIO(typed.format(file=file).encode())))
    status, _, err = say()
    assert status == code and str(places(folder)[0].page) in err
    answered = places(folder)[0].answer
    assert (answered.read_text() if answered.exists() else None) == kept


def test_the_command_is_registered() -> None:
    assert answer in [command.callback for command in app.registered_commands]
