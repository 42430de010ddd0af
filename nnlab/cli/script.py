"""Command lines that end well: what cannot be carried out is one line and exit status 2."""

import os
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import typer
from rich.console import Console

from nnlab.errors import UsageError
from nnlab.files import writing_into
from nnlab.studies.verdicts import Verdict, keep, verdict_table

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from pandas import DataFrame

STYLE: dict[str, Any] = {
    "add_completion": False,
    "pretty_exceptions_enable": False,
    "context_settings": {"help_option_names": ["-h", "--help"]},
}
"""What nnlab's command line and the scripts' have in common."""
INTERRUPTED = 130


def run(main: Callable[..., None]) -> None:
    """Make a command line of a function, whose parameters are its options, and run it.

    Every core is asked for before anything computes.
    """
    from nnlab.lanes.devices import prepare

    prepare()
    app = typer.Typer(**STYLE)
    app.command(help=sys.modules[main.__module__].__doc__ or main.__doc__)(main)
    carry_out(app, Path(sys.argv[0]).stem)


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


def conclude(
    study: str,
    out: Path,
    verdicts: Sequence[Verdict],
    figures: Mapping[str, "Figure"],
    tables: Mapping[str, "DataFrame"] | None = None,
) -> None:
    """Keep a study's figures (PNG), tables (CSV) and verdicts in `out`; print the verdicts."""
    with writing_into(out):
        keep(verdicts, out)
        for name, figure in figures.items():
            figure.savefig(out / f"{name}.png")
        for name, table in (tables or {}).items():
            table.to_csv(out / f"{name}.csv", index=False)
    Console(highlight=False).print(verdict_table([(study, verdicts)]))


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
