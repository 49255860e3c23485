"""``experimenter skills play``: episodes of a skill, as pictures where its environment draws any, else in words."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from experimenter.cli.console import print_json, say, screen
from experimenter.errors import EnvironmentFault, UsageError
from experimenter.report.lines import number
from experimenter.report.text import safe_text

if TYPE_CHECKING:
    from experimenter.execution.film import Film
    from experimenter.execution.playing import Played

__all__ = ["Wanted", "play_skill"]


@dataclass(frozen=True, slots=True)
class Wanted:
    """How a person wants to see it; nothing chosen means the terminal, or words where there is none."""

    gif: Path | None = None
    mp4: Path | None = None
    window: bool = False
    terminal: bool = False
    text: bool = False
    as_json: bool = False

    @property
    def pictures(self) -> bool:
        return self.gif is not None or self.mp4 is not None or self.window or self.terminal

    @property
    def size(self) -> int:
        """The longer side of a picture in pixels: a terminal shows few, a film file is meant to be looked at."""
        return 480 if self.mp4 is not None or self.window else 320 if self.gif is not None else 200


def play_skill(root: Path, name: str, episodes: int, seed: int, wanted: Wanted) -> None:
    """Plays ``episodes`` on the judge's seeds and shows them. Raises what the skill or its environment raises."""
    from experimenter.identity import seeds

    _check(wanted)
    _warn(root, name)
    played, films = list[Any](), list[Any]()
    in_words = wanted.text or not (wanted.pictures or sys.stdout.isatty())
    for episode_seed in seeds(seed, "confirm_eval", episodes):
        one, film = _play(root, name, episode_seed, wanted, in_words)
        played.append(one)
        if film is None and not wanted.as_json:
            _tell(one)
        elif film is not None:
            films.append(film)
    files = _show(films, name, wanted)
    if wanted.as_json:
        print_json({"skill": name, "episodes": [_plain(one) for one in played], "files": files})
    else:
        _sum_up(played, files)


def _check(wanted: Wanted) -> None:
    """What can be wrong is said before anything is played."""
    if wanted.text and wanted.pictures:
        raise UsageError("--text shows words, and the other option pictures.", "Choose one of them.")
    for path, ending in ((wanted.gif, ".gif"), (wanted.mp4, ".mp4")):
        if path is not None and path.suffix.lower() != ending:
            raise UsageError(f"{path} does not end in {ending}.", f"Try {path}{ending}")
    if wanted.mp4 is not None:
        from experimenter.execution.film_files import require_video

        require_video()


def _warn(root: Path, name: str) -> None:
    """Watching is allowed wherever the policy fits; but a person should know that it is another environment."""
    from experimenter.loop import skills

    for change in skills.examine(skills.load(name, root)[0]):
        say(f"changed since its certificate ({change.part}): {change.words}")


def _play(root: Path, name: str, seed: int, wanted: Wanted, in_words: bool) -> tuple[Played, Film | None]:
    from experimenter.loop import skills
    from experimenter.loop.showing import filmed

    if in_words or (wanted.as_json and not wanted.pictures):
        return skills.play(root, name, seed, None), None
    try:
        return filmed(root, name, seed, wanted.size)
    except EnvironmentFault as fault:
        if wanted.pictures or not _draws_nothing(fault):
            raise
        say(f"{fault.message} It is told in words instead.")
        return skills.play(root, name, seed, None), None


def _draws_nothing(fault: EnvironmentFault) -> bool:
    return "cannot draw pictures" in fault.message


def _show(films: list[Film], name: str, wanted: Wanted) -> list[str]:
    """Shows what was filmed; returns the files that were written."""
    from experimenter.cli import screening
    from experimenter.execution import film_files

    if not films:
        return []
    film, files = film_files.joined(films), []
    if wanted.gif is not None:
        film_files.write_gif(film, wanted.gif)
        files.append(str(wanted.gif))
    if wanted.mp4 is not None:
        film_files.write_mp4(film, wanted.mp4)
        files.append(str(wanted.mp4))
    if wanted.window:
        screening.show_in_window(film, name)
    if not wanted.as_json and (wanted.terminal or not wanted.pictures):
        screening.show_in_terminal(film)
    return files


def _tell(played: Played) -> None:
    for line in played.lines:
        print(safe_text(line))


def _plain(played: Played) -> dict[str, Any]:
    return {
        "native_return": played.native_return,
        "success": played.success,
        "length": played.length,
        "lines": list(played.lines),
    }


def _sum_up(played: list[Played], files: list[str]) -> None:
    out = screen()
    for index, one in enumerate(played, 1):
        how = {None: "", True: ", succeeded", False: ", did not succeed"}[one.success]
        out.print(f"episode {index}: true return {number(one.native_return)} in {one.length:,} steps{how}")
    for path in files:
        out.print(f"wrote {safe_text(path)}")
