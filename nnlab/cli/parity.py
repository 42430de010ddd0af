"""nnlab parity: the optimizers beside optax's, measured on this machine."""

from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.table import Table

if TYPE_CHECKING:
    from nnlab.parity.proof import Row


def parity(
    optimizers: Annotated[
        str | None, typer.Argument(help="Which ones, as adam,lion [all].", metavar="[NAMES]")
    ] = None,
) -> None:
    """Prove the optimizers: how far from optax's path, what memory, what time per step."""
    from nnlab.cli.words import split
    from nnlab.parity.proof import rows

    chosen = rows(None if optimizers is None else split(optimizers))
    found = []
    with Console(stderr=True).status("compiling") as status:
        for row in chosen:
            found.append(row)
            status.update(f"{row.optimizer} is done")
    out = Console()
    out.print(show(found))
    for row in filter(note, found):
        out.print(f"{row.optimizer}: {note(row)}", style="dim", highlight=False, soft_wrap=True)
    if not all(row.proved for row in found):
        raise typer.Exit(1)


def show(found: "list[Row]") -> Table:
    """The rows as a person reads them."""
    table = Table(box=None, padding=(0, 2, 0, 0))
    table.add_column("optimizer", style="bold", no_wrap=True)
    table.add_column("paper")
    for title in ("from\noptax", "bytes per\nweight", "time over\nSGD's"):
        table.add_column(title, justify="right", no_wrap=True)
    for row in found:
        memory, time = f"{row.state_bytes_per_parameter:.3g}", f"{row.update_cost:.1f}"
        table.add_row(row.optimizer, row.paper, distance(row), memory, time)
    return table


def distance(row: "Row") -> str:
    """The largest relative difference of the paths, in red if it is too large."""
    if row.difference is None:
        return "-"
    number = "equal" if row.difference == 0 else f"{row.difference:.0e}"
    return number if row.proved else f"[red]{number}[/red]"


def note(row: "Row") -> str:
    """What the reader of a distance has to know."""
    if row.difference is None:
        return "not in optax; the tests follow its paper in numpy"
    return f"within {row.tolerance:.0e}; {row.note}" if row.tolerance > 1e-10 else row.note
