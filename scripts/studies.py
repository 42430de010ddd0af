"""What did every study of this folder find, and does what was published hold?

Each script runs in a process of its own; one that crashes is a failing row, as is one whose files
are not here. The table at the end
has one row for each claim, and is written to OUT/studies.md.

About 30 minutes on 2 cores.    python scripts/studies.py   or, at toy size, with --fast
"""

import ast
import subprocess
import sys
import time
from pathlib import Path
from typing import Annotated

from rich.console import Console
from typer import Exit, Option

from nnlab.cli.script import run
from nnlab.cli.words import split
from nnlab.errors import unknown
from nnlab.studies.verdicts import HEAD, Verdict, read, verdict_rows, verdict_table

FOLDER = Path(__file__).parent
STUDIES = sorted(path.stem for path in FOLDER.glob("*.py") if path.stem != "studies")
REFUSED = 2
"""The status of a study that cannot be carried out, as one whose files are not here."""


def main(
    out: Path = Path("runs"),
    only: Annotated[str | None, Option(help="These studies, as demo,init_comparison.")] = None,
    data: Annotated[str | None, Option(help="In place of MNIST: digits.")] = None,
    fast: Annotated[bool, Option(help="Toy size: a test, not a result.")] = False,
) -> None:
    """Run the studies, print one table."""
    chosen = STUDIES if only is None else split(only)
    for name in chosen:
        if name not in STUDIES:
            raise unknown("study", name, STUDIES)
    console, found, crashed = Console(highlight=False), [], False
    for name in chosen:
        console.print(f"{name} …", style="dim")
        words = ["--fast"] * fast + (["--data", data] if data and reads_mnist(name) else [])
        verdicts, seconds, status = study(name, out / name, words)
        found.append((f"{name}\n{seconds / 60:.1f} min", verdicts))
        crashed |= status not in (0, REFUSED)
    console.print(verdict_table(found))
    (out / "studies.md").write_text(markdown(found))
    if crashed:
        raise Exit(1)


def reads_mnist(name: str) -> bool:
    """Whether a script trains on MNIST unless told otherwise: `data: str = "mnist"`."""
    body = ast.parse((FOLDER / f"{name}.py").read_text()).body
    (main,) = (f for f in body if isinstance(f, ast.FunctionDef) and f.name == "main")
    defaults = dict(zip(reversed(main.args.args), reversed(main.args.defaults), strict=False))
    return {arg.arg: ast.unparse(value) for arg, value in defaults.items()}.get("data") == "'mnist'"


def study(name: str, out: Path, words: list[str]) -> tuple[list[Verdict], float, int]:
    """Run one script; its verdicts, or the one that says how it ended; its seconds; its status."""
    began = time.perf_counter()
    command = [sys.executable, str(FOLDER / f"{name}.py"), "--out", str(out), *words]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    out.mkdir(parents=True, exist_ok=True)
    (out / "printed.txt").write_text(done.stdout + done.stderr)
    seconds = time.perf_counter() - began
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["it said nothing"])[-1]
        claim = "it can run here" if done.returncode == REFUSED else "the script runs to its end"
        ended = Verdict(claim, "", f"status {done.returncode}", False, last)
        return [ended], seconds, done.returncode
    return read(out), seconds, 0


def markdown(found: list[tuple[str, list[Verdict]]]) -> str:
    """The table as Markdown."""
    rows = [list(HEAD), ["---"] * len(HEAD), *verdict_rows(found)]
    lines = ("| " + " | ".join(row) + " |" for row in rows)
    return "\n".join(line.replace("\n", ", ") for line in lines) + "\n"


if __name__ == "__main__":
    run(main)
