"""Figures of what passes through the layers of networks: how activations are distributed."""

from typing import TYPE_CHECKING

import numpy as np
import xarray as xr

from nnlab.errors import UsageError
from nnlab.report import drawing, style
from nnlab.report.select import needs_results
from nnlab.report.style import text, words
from nnlab.sweeps.results import Results

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

HISTOGRAM = "layer_histogram"
FULL = 0.85
"""Of the distance between two layers, the height of a layer's tallest bin."""
MARGIN = 4
"""Bins of empty space left and right."""


@style.styled
def layer_histograms(
    results: Results, row: str, col: str, epoch: int = 0, title: str | None = None
) -> "Figure":
    """How each layer's activations are distributed: a panel for each value of row and col, in it a
    histogram for each layer, the first on top.

    Seeds are pooled. Heights are square roots of counts (a rootogram), so that a layer's few live
    activations show beside its many zeros; each layer has its own scale. Panels of a column share
    the values along x. Needs a sweep with record="layers".  Source: Tukey (1977), for the root.
    """
    needs_results(results)
    counts = histograms(results, row, col, epoch)
    rows, columns = results.labels(row), results.labels(col)
    when = "at the start" if epoch == 0 else f"after epoch {epoch}"
    fig = style.figure(title or f"Activations {when}, by {words(row)} and {words(col)}")
    grid = fig.subplots(len(rows), len(columns), sharex="col", sharey=True, squeeze=False)
    depth = counts.sizes["layer"]
    for (i, j), ax in np.ndenumerate(grid):
        _ridges(ax, counts.isel({row: i, col: j}))
        ax.set_yticks(np.arange(depth) + FULL / 3, [f"{depth - k}" for k in range(depth)])
        ax.tick_params(axis="y", length=0, labelsize=min(13, 65 / depth))
        if i == 0:
            ax.set_title(text(columns[j]), loc="left", weight="bold")
        if j == 0:
            ax.set_ylabel(text(rows[i]), rotation=0, ha="right", va="center", weight="bold")
    for j, ax in enumerate(grid[-1]):
        _values_along(ax, counts.isel({col: j}))
    seeds = results.dataset.sizes["seed"]
    notes = [
        f"In each panel a histogram for each of the {depth} layers, the first on top",
        "of all units and examples" + (f" of {seeds} seeds" if seeds > 1 else ""),
        "heights are square roots of counts, the tallest bin of each layer alike.",
    ]
    drawing.small_print(fig, ["; ".join(notes)])
    return fig


def histograms(results: Results, row: str, col: str, epoch: int) -> xr.DataArray:
    """The histograms [row, col, layer, value] of one moment, seeds pooled."""
    if HISTOGRAM not in results.recorded:
        raise UsageError("these results have no histograms of layers; train with record='layers'")
    for axis in (row, col):
        results.labels(axis)
    if row == col:
        raise UsageError(f"row and col must be different axes, got {row} twice")
    others = [a for a in results.axes if a not in (row, col) and results.dataset.sizes[a] > 1]
    if others:
        raise UsageError(
            f"histograms by {row} and {col} need one {others[0]}; choose it with results.sel"
        )
    found = results.recorded[HISTOGRAM]
    if epoch not in found["epoch"]:
        raise UsageError(f"epoch {epoch} was not recorded; choose from 0..{int(found.epoch[-1])}")
    rest = [a for a in results.axes if a not in (row, col)]
    pooled = found.sel(epoch=epoch).isel(dict.fromkeys(rest, 0)).sum("seed")
    return pooled.transpose(row, col, "layer", "value")


def _ridges(ax: "Axes", counts: xr.DataArray) -> None:
    """One histogram above the other, the first layer highest."""
    x, depth = counts["value"].values, counts.sizes["layer"]
    width = x[1] - x[0]
    edges = np.append(x - width / 2, x[-1] + width / 2)
    for k, (layer, colour) in enumerate(
        zip(np.sqrt(counts.values), style.colours(range(depth)), strict=True)
    ):
        base = depth - 1 - k
        height = base + FULL * layer / max(layer.max(), 1)
        ax.stairs(height, edges, baseline=base, fill=True, color=colour)
        ax.axhline(base, color=colour, linewidth=0.8)
    ax.set_ylim(-0.1, depth)
    ax.grid(visible=False)


def _values_along(ax: "Axes", counts: xr.DataArray) -> None:
    """The values along x that hold anything, the outermost with what lies beyond them."""
    from matplotlib.ticker import FuncFormatter

    held = np.flatnonzero(counts.sum([d for d in counts.dims if d != "value"]).values)
    x, last = counts["value"].values, counts.sizes["value"] - 1
    width = x[1] - x[0]
    first, end = (held.min(), held.max()) if held.size else (0, last)
    ax.set_xlim(x[max(first - MARGIN, 0)] - width, x[min(end + MARGIN, last)] + width)
    beyond = ({x[0]: "<"} if first == 0 else {}) | ({x[-1]: ">"} if end == last else {})
    ax.xaxis.set_major_formatter(
        FuncFormatter(lambda v, _: f"{beyond.get(round(v, 6), '')} {v:.3g}".strip())
    )
    ax.set_xlabel("activation")
