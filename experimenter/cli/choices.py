"""What can be chosen for a run, one type per option, so that a command's signature reads as a list of choices."""

from __future__ import annotations

from typing import Annotated

import typer

__all__ = [
    "Algorithm",
    "AllowUnsandboxed",
    "BudgetDollars",
    "BudgetSeconds",
    "BudgetSteps",
    "BudgetTokens",
    "ConfirmSeeds",
    "Controls",
    "Curriculum",
    "Detach",
    "Device",
    "EarlyStopping",
    "Env",
    "Events",
    "Images",
    "Judge",
    "JudgeVisibility",
    "Memory",
    "Model",
    "Name",
    "Notes",
    "Planner",
    "Roles",
    "Routes",
    "SuccessTest",
    "Target",
    "Vector",
    "Wish",
    "Workers",
    "Yes",
]

Wish = Annotated[str, typer.Argument(metavar="WISH", help="What you want, in a sentence.")]
Env = Annotated[str, typer.Option("--env", metavar="ID", help="A Gymnasium id, or module:Id.")]
BudgetSteps = Annotated[
    int | None, typer.Option("--budget-steps", help="Learning steps in all: search, discards, confirmation.")
]
BudgetSeconds = Annotated[float | None, typer.Option("--budget-seconds", help="Active seconds.")]
BudgetTokens = Annotated[int | None, typer.Option("--budget-tokens", help="Tokens of a language model.")]
BudgetDollars = Annotated[
    float | None, typer.Option("--budget-dollars", help="Dollars for a language model.")
]
Judge = Annotated[
    str | None, typer.Option(help="What success is: return>=N, length>=N, info:KEY, or return.")
]
JudgeVisibility = Annotated[
    str,
    typer.Option(help="open; hidden needs a curriculum that promotes by preference, and none is installed."),
]
Target = Annotated[float | None, typer.Option(help="The true score (IQM) that counts as solved.")]
Controls = Annotated[
    str | None, typer.Option(help="Arms to compare with: none, native, random or all.", show_default="native")
]
ConfirmSeeds = Annotated[
    int | None, typer.Option(help="Fresh training seeds that confirm the winner.", show_default="5")
]
Algorithm = Annotated[
    str | None,
    typer.Option(
        help="What trains: ppo for any actions, sac for continuous ones, dqn for discrete ones, or another that is"
        " installed: docs/engine.md lists those of the extras sb3 and sbx.",
        show_default="ppo",
    ),
]
EarlyStopping = Annotated[
    str | None,
    typer.Option(
        "--early-stopping",
        help="What ends a training of the search early: off, plateau or forecast.",
        show_default="off",
    ),
]
Planner = Annotated[
    str | None,
    typer.Option(
        help="Who answers the questions: search, random, llm (a language model), manual (you, by files), replay:RUN.",
        show_default="search",
    ),
]
Model = Annotated[
    str | None,
    typer.Option(
        metavar="MODEL",
        help="For --planner llm: provider:model, such as ollama:llama3.1 or openai:gpt-5; more after commas are tried"
        " where it fails.",
        show_default="as the key that is set",
    ),
]
Roles = Annotated[
    list[str] | None,
    typer.Option(
        "--role", metavar="ROLE=MODEL", help="Another model as planner, coder, judge or summary. Repeatable."
    ),
]
Routes = Annotated[
    list[str] | None,
    typer.Option(
        "--route", metavar="KIND=PLANNER", help="Who answers one kind of question instead. Repeatable."
    ),
]
Notes = Annotated[
    list[str] | None,
    typer.Option(
        "--note",
        metavar="TEXT|FILE",
        help="Tell the model more: 'rule: …', 'hint: …', or a text file such as a paper. Repeatable.",
    ),
]
Images = Annotated[
    bool, typer.Option("--images", help="Show curves to models that can see; images cost tokens.")
]
SuccessTest = Annotated[
    str | None,
    typer.Option(
        "--success-test",
        help="Where no judge applies, let the planner propose a test of success: auto or off.",
        show_default="auto",
    ),
]
Curriculum = Annotated[str | None, typer.Option(help="What decides what to try next.", show_default="auto")]
Name = Annotated[str | None, typer.Option(help="The run's name; made from the wish when left out.")]
Device = Annotated[
    str | None, typer.Option(help="Where networks train: auto, cpu or cuda.", show_default="auto")
]
Vector = Annotated[
    str | None,
    typer.Option(help="Step environments by: auto, sync, native, workers or envpool.", show_default="auto"),
]
Workers = Annotated[int | None, typer.Option(help="Worker processes.", show_default="cores, at most 4")]
Memory = Annotated[
    str | None, typer.Option(help="Lessons of earlier runs: off, read or on.", show_default="on")
]
Yes = Annotated[bool, typer.Option("--yes", help="Do not ask before spending dollars.")]
Events = Annotated[bool, typer.Option("--events", help="Print every event as a JSON line on stdout.")]
Detach = Annotated[bool, typer.Option("--detach", help="Return at once; follow later with 'watch'.")]
AllowUnsandboxed = Annotated[
    bool,
    typer.Option(
        "--allow-unsandboxed",
        help="Run generated code even where the kernel cannot contain it. Dangerous.",
    ),
]
