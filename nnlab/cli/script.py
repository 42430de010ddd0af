"""A study as a command line: its options are a function's parameters, its results lie in `out`."""

import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import typer
from rich.console import Console

from nnlab.cli.ending import STYLE, carry_out
from nnlab.files import writing_into
from nnlab.studies.verdicts import Verdict, keep, verdict_table

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from pandas import DataFrame


def run(main: Callable[..., None]) -> None:
    """Make a command line of a function, whose parameters are its options, and run it.

    Every core is asked for before anything computes.
    """
    from nnlab.lanes.devices import prepare

    prepare()
    app = typer.Typer(**STYLE)
    app.command(help=sys.modules[main.__module__].__doc__ or main.__doc__)(main)
    carry_out(app, Path(sys.argv[0]).stem)


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
