"""Paths of two parameters over the contours of their loss."""

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr

from nnlab.optim import FAMILIES
from nnlab.report import drawing, style
from nnlab.studies.surfaces import Surface

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Panels = Mapping[str, Mapping[str, np.ndarray]]
"""Panel title -> label -> path [update, 2], the start first."""
CONTOUR, POINTS, FOUR = "#B4B4B4", 300, 4


@style.styled
def paths(surface: Surface, panels: Panels, title: str, notes: Sequence[str] = ()) -> "Figure":
    """Paths over contours, at most seven to a panel; a panel's only path needs no legend.

    Stars are the minima; the ring is the start, and every path ends in a mark of its own.
    """
    fig = style.figure(title)
    columns = min(len(panels), 3 if len(panels) != 4 else 2)
    grid = fig.subplots(
        -(-len(panels) // columns), columns, sharex=True, sharey=True, squeeze=False
    )
    for ax in grid.flat[len(panels) :]:
        ax.remove()
    for ax, (name, drawn) in zip(grid.flat, panels.items(), strict=False):
        ax.set_title(name, loc="left")
        landscape(ax, surface)
        for i, (label, path) in enumerate(drawn.items()):
            walk(ax, np.asarray(path), label, i, every=len(drawn) == 1)
        if len(drawn) > 1:
            ax.legend(loc="center left", bbox_to_anchor=(1.0, 0.5), handlelength=2.4, fontsize=11)
    for ax in grid[-1]:
        ax.set_xlabel("x")
    for ax in grid[:, 0]:
        ax.set_ylabel("y", rotation=0)
    marks = "Ring: the start. Star: a minimum. Large mark: the end."
    drawing.small_print(fig, [*notes, marks])
    return fig


def by_family(path: xr.DataArray, loss: xr.DataArray) -> Iterator[dict[str, dict[str, Any]]]:
    """Slides of four families each, every optimizer at the rate with the least mean loss.

    `path` is [optimizer, learning_rate, update, measure], `loss` the same without measures.
    """
    best = loss.fillna(np.inf).mean("update").argmin("learning_rate")
    chosen, rates = path.isel(learning_rate=best), loss["learning_rate"].isel(learning_rate=best)
    panels = {
        family: {
            f"{name} {float(rates.sel(optimizer=name)):.2g}": chosen.sel(optimizer=name)
            for name in (optimizer.__name__ for optimizer in optimizers)
            if name in loss["optimizer"]
        }
        for family, optimizers in FAMILIES.items()
    }
    names = list(FAMILIES)
    for first in range(0, len(names), FOUR):
        shown = {name: panels[name] for name in names[first : first + FOUR] if panels[name]}
        if shown:
            yield shown


def landscape(ax: "Axes", surface: Surface) -> None:
    """Contours at equal ratios of the loss's gap to its minimum, the start and the minima."""
    import jax
    import jax.numpy as jnp

    (left, right), (bottom, top) = surface.frame
    x, y = np.linspace(left, right, POINTS), np.linspace(bottom, top, POINTS)
    grid = jnp.asarray(np.stack(np.meshgrid(x, y), axis=-1), jnp.float32)
    gap = np.asarray(jax.vmap(jax.vmap(surface.loss))(grid)) - surface.least
    low, high = np.quantile(gap, [0.002, 1.0])
    levels = np.geomspace(low, high, 14)
    ax.contour(x, y, gap, levels=np.unique(levels), colors=CONTOUR, linewidths=0.9, zorder=1)
    ax.grid(visible=False)
    ax.set(xlim=(left, right), ylim=(bottom, top))
    ax.plot(*zip(*surface.minima, strict=True), "*", color="black", markersize=14, zorder=1.5)
    ring: dict[str, Any] = {"markerfacecolor": "none", "markeredgewidth": 2, "markersize": 11}
    ax.plot(*surface.start, "o", color="black", zorder=4, **ring)


def walk(ax: "Axes", path: np.ndarray, label: str, i: int, every: bool) -> None:
    """One path with a mark at its end, and with `every` a dot at each update."""
    look: dict[str, Any] = {"color": style.PALETTE[i % 7], "linestyle": style.LINES[i % 7]}
    place = path[np.isfinite(path).all(-1)]
    mark = style.MARKERS[i % 7]
    if every:
        ax.plot(*place.T, color=look["color"], linewidth=1.6, marker="o", markersize=4)
        ax.plot(*place[-1], marker=mark, markersize=9, color=look["color"], zorder=5)
        return
    ax.plot(*place.T, linewidth=1.8, **look)
    end: dict[str, Any] = {"markersize": 10, "markeredgecolor": "white", "zorder": 5}
    ax.plot(*place[-1], marker=mark, color=look["color"], **end)
    ax.plot([], [], marker=mark, label=label, **look)
