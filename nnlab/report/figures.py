"""Figures of a sweep: responses, learning curves, heat maps, and the general `plot`.

Shown are means over seeds with their confidence intervals.  Axes that a figure does not show are
at their best place, chosen on validation data; where there are more values than a reader can tell
apart, the best are shown; the small print below each figure says both.
"""

from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr

from nnlab.errors import UsageError, unknown
from nnlab.report import drawing, style
from nnlab.report.scatter import scatter
from nnlab.report.select import MOST_CELLS, MOST_PANELS, config_label, most_hues, reduce
from nnlab.report.style import capital, texts, words
from nnlab.sweeps.results import Results, larger_is_better
from nnlab.sweeps.statistics import t_interval

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@style.styled
def plot(
    results: Results,
    x: str,
    y: str | None = None,
    hue: str | None = None,
    col: str | None = None,
    confidence: float = 0.95,
) -> "Figure":
    """Metric y along x ("epoch", an axis, or a knob of a random search), by hue, in panels by col.

    Numbers along x make lines, on a log scale where they are spaced like that; words make dots.
    A cross marks a place where a seed diverged, or whose mean loss lies above the frame.
    """
    y = y or results.headline
    results[y]
    _check(results, x, hue, col)
    if x == "epoch":
        return learning_curves(results, y, hue, col, confidence)
    if x not in results.axes:
        results, notes = reduce(results, y, [(axis, 10**6) for axis in _along(results, x)])
        return scatter(results, x, y, hue, notes)
    numeric = style.is_numeric(results.labels(x)) and x != "config"
    room = 10**6 if numeric else 2 * MOST_CELLS
    shown = [(x, room), (hue, most_hues(results, hue, col)), (col, MOST_PANELS)]
    results, notes = reduce(results, y, shown)
    labels = results.labels(x)
    if x == "config":
        labels = np.array([config_label(results, i) for i in range(len(labels))])
    table = results.mean(y, confidence=confidence)
    table["diverged"] = results.diverged.any("seed")

    fig = style.figure(drawing.title(y, x, col))
    panels = drawing.panels(fig, results, table, labels, hue, col)
    for ax, series in panels:
        for s in series:
            (drawing.line if numeric else drawing.dots)(ax, s)
    for ax, _ in panels:  # they share the scale, so all are drawn before it is fixed
        style.y_scale(ax, y, table["mean"].values)
    if numeric:
        style.x_scale(panels[0].ax, labels)
    else:
        drawing.words_along(panels, texts(labels))
    drawing.label_outer(fig, panels, words(x), words(y))
    drawing.legend(fig, results, hue, drawing.crosses_above(fig, panels))
    drawing.small_print(fig, [*notes, drawing.interval_note(results, confidence)])
    return fig


def response(
    results: Results,
    metric: str | None = None,
    x: str = "learning_rate",
    hue: str | None = "optimizer",
    col: str | None = None,
    confidence: float = 0.95,
) -> "Figure":
    """How a metric answers to a number, by default to the learning rate for each optimizer."""
    hue = None if hue == "optimizer" and hue not in results.axes else hue
    return plot(results, x, metric, hue, col, confidence)


@style.styled
def learning_curves(
    results: Results,
    metric: str | None = None,
    hue: str | None = None,
    col: str | None = None,
    confidence: float = 0.95,
    most_panels: int = MOST_PANELS,
) -> "Figure":
    """A metric against the epoch, with its interval over seeds as a band; panels by col."""
    metric = metric or results.headline
    if "epoch" not in results[metric].dims:
        raise UsageError(f"{metric} has no history; choose a metric that is measured every epoch")
    _check(results, "epoch", hue, col)
    shown = [(hue, most_hues(results, hue, col)), (col, most_panels)]
    results, notes = reduce(results, metric, shown, each="curve")
    table = results.mean(metric, confidence=confidence, epoch="all")
    table["diverged"] = xr.zeros_like(table["mean"], dtype=bool)

    fig = style.figure(drawing.title(metric, "epoch", col))
    panels = drawing.panels(fig, results, table, results.labels("epoch"), hue, col)
    crossed = ""
    for ax, series in panels:
        for s in series:
            drawing.line(ax, s)
    for ax, series in panels:
        style.y_scale(ax, metric, table["mean"].values)
        for row, s in enumerate(series):
            crossed = drawing.cross_at_end(ax, s, row) or crossed
    style.epochs_along(panels[0].ax, results.labels("epoch"))
    drawing.label_outer(fig, panels, "epoch", words(metric))
    drawing.legend(fig, results, hue, crossed)
    drawing.small_print(fig, [*notes, drawing.interval_note(results, confidence)])
    return fig


@style.styled
def heatmap(
    results: Results, x: str, y: str, metric: str | None = None, confidence: float = 0.95
) -> "Figure":
    """The metric for every pair of two axes, all other axes at their best, with half-intervals."""
    metric = metric or results.headline
    for name in (x, y):
        if name not in results.axes:
            raise unknown("axis", name, results.axes)
    if x == y:
        raise UsageError(f"a heat map needs two different axes, got {x} twice")
    results, notes = reduce(results, metric, [(x, MOST_CELLS), (y, MOST_CELLS)], each="cell")
    table = results.mean(metric, confidence=confidence).transpose(y, x)
    mean = table["mean"].values
    half = _half_intervals(results, metric, confidence).transpose(y, x).values

    fig = style.figure(f"{capital(words(metric))} by {words(y)} and {words(x)}")
    ax = fig.subplots()
    image = ax.imshow(np.ma.masked_invalid(mean), aspect="auto", **_colouring(mean, metric))
    for (row, column), value in np.ndenumerate(mean):
        ink = style.ink_on(image.cmap(image.norm(value)) if np.isfinite(value) else style.MISSING)
        cell, margin = style.number(value, metric).removesuffix(" %"), float(half[row, column])
        if np.isfinite(margin):
            cell += "\n±" + style.number(margin, metric, digits=2).removesuffix(" %")
        size = 14 if max(mean.shape) <= 9 else 11
        ax.text(column, row, cell, ha="center", va="center", color=ink, fontsize=size)
    for axis, name in ((ax.xaxis, x), (ax.yaxis, y)):
        axis.set_ticks(range(results.dataset.sizes[name]), texts(results.labels(name)))
        axis.set_label_text(words(name))
    drawing.turn_if_crowded(ax, texts(results.labels(x)), 84)
    ax.tick_params(length=0)
    ax.spines[:].set_visible(False)
    ax.grid(visible=False)
    _colour_bar(fig, image, mean, metric)
    unit = "Cells in percent." if style.in_percent(metric) else ""
    drawing.small_print(fig, [*notes, unit, drawing.interval_note(results, confidence)])
    return fig


def _along(results: Results, name: str) -> tuple[str, ...]:
    """The axes along which a knob lies; an axis lies along itself."""
    if name in results.axes or name not in results.dataset.coords:
        return (name,)
    return tuple(map(str, results.dataset[name].dims))


def _half_intervals(results: Results, metric: str, confidence: float) -> xr.DataArray:
    """Half of each cell's interval, also where one of an accuracy would reach beyond 0 or 1."""
    x = results.values(metric).transpose(..., "seed")
    finished = results.finished.transpose(*x.dims).values
    found = t_interval(x.values, confidence, where=finished)
    return x.isel(seed=0, drop=True).copy(data=found.high - found.mean)


def _check(results: Results, x: str, hue: str | None, col: str | None) -> None:
    """The three axes exist and differ; hue and col are axes, or hue a knob of a random search."""
    free = x != "epoch" and x not in results.axes
    known = (*results.axes, *results.knobs, *(["epoch"] if "epoch" in results.dataset.dims else []))
    if x not in known:
        raise unknown("axis", x, known)
    named = dict.fromkeys((*results.axes, *results.knobs))
    beside = [k for k in named if _along(results, k) == _along(results, x)]
    for name, choices in ((hue, beside if free else results.axes), (col, results.axes)):
        if name is not None and name not in choices:
            raise unknown("axis", name, choices)
    used = [name for name in (x, hue, col) if name is not None]
    if len(set(used)) < len(used):
        raise UsageError(f"x, hue and col must be different axes, got {', '.join(used)}")


def _colouring(mean: np.ndarray, metric: str) -> dict[str, Any]:
    """Bright is good; losses over more than a decade are coloured by their logarithm."""
    from matplotlib import colormaps
    from matplotlib.colors import LogNorm, Normalize

    seen = mean[np.isfinite(mean)] if np.isfinite(mean).any() else np.array([0.0, 1.0])
    low, high = float(seen.min()), float(seen.max())
    log = not style.in_percent(metric) and low > 0 and high > 10 * low
    name = style.MAP if larger_is_better(metric) else f"{style.MAP}_r"
    cmap = colormaps[name].with_extremes(bad=style.MISSING)
    return {"cmap": cmap, "norm": LogNorm(low, high) if log else Normalize(low, high)}


def _colour_bar(fig: "Figure", image: Any, mean: np.ndarray, metric: str) -> None:
    bar = fig.colorbar(image, ax=fig.axes[0], label=words(metric), fraction=0.04, pad=0.02)
    bar.outline.set_visible(False)
    seen = mean[np.isfinite(mean)]
    if style.in_percent(metric):
        style.percent(bar.ax.yaxis)
    elif seen.size and seen.min() > 0 and seen.max() > 10 * seen.min():
        style.log_ticks(bar.ax.yaxis, seen.max() / seen.min())
