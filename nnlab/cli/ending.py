"""Command lines that end well: what cannot be carried out is one line and exit status 2."""

import os
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NoReturn

import typer
from rich.console import Console

from nnlab.errors import UsageError

STYLE: dict[str, Any] = {
    "add_completion": False,
    "pretty_exceptions_enable": False,
    "context_settings": {"help_option_names": ["-h", "--help"]},
}
"""What nnlab's command line and the scripts' have in common."""
INTERRUPTED = 130


def carry_out(app: typer.Typer, name: str) -> None:
    """Run a command line and leave: status 0, 2 with one line, or 130 where interrupted."""
    try:
        status = app(standalone_mode=False)
        if status == INTERRUPTED:  # typer has caught Ctrl-C and says nothing
            interrupted("interrupted", name)
        sys.exit(status)
    except typer.TyperException as error:
        say_error(error.format_message(), name)
    except UsageError as error:
        say_error(str(error), name)
    except (typer.Abort, KeyboardInterrupt):
        interrupted("interrupted", name)
    sys.exit(2)


def say_error(message: str, name: str = "nnlab") -> None:
    """One line on standard error; an empty message is one that typer has shown itself."""
    if message:
        console = Console(stderr=True)
        console.print(f"{name}: {message}", markup=False, highlight=False, soft_wrap=True)


def interrupted(message: str, name: str = "nnlab") -> NoReturn:
    """One line and status 130, at once: without waiting for what devices still compute."""
    say_error(message, name)
    sys.stdout.flush()
    os._exit(INTERRUPTED)


@contextmanager
def kept(out: Path | None) -> Iterator[None]:
    """Ctrl-C while training says what is kept and how to go on, and ends with status 130."""
    try:
        yield
    except KeyboardInterrupt:
        if out is None:
            what = "nothing was kept (no --out)"
        elif any(out.rglob("chunks/*.npz")):
            what = f"finished chunks are in {out}; the same command continues from there"
        else:
            what = "no chunk was finished; the same command begins anew"
        interrupted(f"interrupted; {what}")


def warn(doubts: Iterable[str], console: Console) -> None:
    """A line for every reason to doubt what was found."""
    for doubt in doubts:
        line = f"warning: {doubt}"
        console.print(line, style="bold", markup=False, highlight=False, soft_wrap=True)
