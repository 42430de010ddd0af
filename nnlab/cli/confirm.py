"""nnlab ablate --confirm: what a grid chose, trained and tested from seeds that did not choose."""

from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console

from nnlab.cli.ending import kept, warn
from nnlab.errors import UsageError

if TYPE_CHECKING:
    from nnlab.sweeps.results import Results
    from nnlab.sweeps.sweep import Sweep


def check(sweep: "Sweep", seeds: int | None, axis: str | None) -> None:
    """Raise UsageError, before anything is trained, for what cannot be confirmed."""
    from nnlab.sweeps.axes import whole
    from nnlab.sweeps.confirm import check_axis

    if seeds is not None:
        whole("confirm", seeds, range(1, 10**6))
    elif axis is not None:
        raise UsageError("--each says what to confirm, not by how many seeds; add --confirm 5")
    check_axis(sweep, axis)


def runs_to_confirm(sweep: "Sweep", seeds: int | None, axis: str | None) -> int:
    """How many runs will confirm what the sweep finds."""
    from nnlab.sweeps.choosing import DRAW

    values = 1 if axis is None else len(sweep.axes[axis])
    draws = len(sweep.axes[DRAW]) if DRAW in sweep.axes else 1
    return (seeds or 0) * values * draws


def confirm(
    sweep: "Sweep",
    results: "Results",
    seeds: int,
    axis: str | None,
    out: Path | None,
    quiet: bool,
) -> None:
    """Train the best config, or each value of an axis at its best, anew; say what came of it."""
    from nnlab.report.cautions import cautions
    from nnlab.report.confirmed import confirmed, confirmed_values
    from nnlab.report.page import write
    from nnlab.report.style import listed, words
    from nnlab.report.terminal import rows
    from nnlab.sweeps.confirm import confirm as run
    from nnlab.sweeps.confirm import learned

    place = None if out is None else out / "confirm" / f"{axis or 'best'}_{seeds}"
    part = results if axis is None else learned(sweep, results, axis)
    with kept(out):
        fresh = run(sweep, part, axis, seeds, place, progress=not quiet)
    console, doubts = Console(), cautions(fresh)
    if axis is None:
        said = confirmed(part, fresh)
        console.print(said, markup=False, highlight=False, soft_wrap=True)
    else:
        said, table = confirmed_values(part, fresh)
        console.print(rows(table, said))
        left = set(part.labels(axis).tolist())
        if lost := [v for v in results.labels(axis).tolist() if v not in left]:
            doubts.insert(0, f"Of {words(axis)} {listed(lost)} every run diverged: not confirmed.")
    warn(doubts, console)
    if place is not None:
        data = fresh.dataset.attrs.get("data", "unnamed data")
        named = fresh.dataset.assign_attrs(title=f"Confirmed on {data}", description=said)
        page = write(fresh.with_data(named), place)
        console.print(f"wrote {page}", markup=False, highlight=False, soft_wrap=True)
