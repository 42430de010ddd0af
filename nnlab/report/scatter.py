"""A random search as dots: one config each, its metric against one of its knobs."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from nnlab.report import drawing, labels, style
from nnlab.report.select import MOST_HUES, most_seeds
from nnlab.report.style import words
from nnlab.sweeps.results import Results

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

DOT = {"s": 70, "edgecolors": "white", "linewidths": 0.8}


def scatter(
    results: Results, x: str, y: str, hue: str | None, notes: Sequence[str] = ()
) -> "Figure":
    """One dot per config that reads x, the mean over seeds; hue colours it by a second knob."""
    reads = pd.notna(results.labels(x))
    if not reads.all():
        notes = [*notes, f"{(~reads).sum()} configs do not read {words(x)}."]
        results = results.with_data(results.dataset.isel(config=reads))
    values = results.labels(x)
    mean, floor = style.floored(results.mean(y)["mean"].values, y)
    fig = style.figure(drawing.title(y, x, None))
    ax = fig.subplots()
    panel, named = drawing.Panel(ax, []), np.array([])
    if style.is_numeric(values):
        at = values
        style.x_scale(ax, values)
    else:
        named, at = np.unique(values.astype(str), return_inverse=True)
    if hue is None:
        ax.scatter(at, mean, color=style.PALETTE[0], **DOT)
    elif style.is_numeric(results.labels(hue)):
        _by_number(ax, at, mean, hue, results.labels(hue))
    else:
        _by_word(ax, at, mean, hue, results.labels(hue))
    z = results.labels(hue) if hue else np.array([])
    grey = f"Grey: {words(hue)} is not read." if hue and _has_gaps(z) else ""
    style.y_scale(ax, y, mean)
    drawing.label_outer(fig, [panel], words(x), words(y))
    lost = results.diverged.any("seed").values | (mean > ax.get_ylim()[1])
    if lost.any():
        place = {"transform": ax.get_xaxis_transform(), "clip_on": False, "color": "#555555"}
        ax.plot(at[lost], np.full(lost.sum(), 1.03), **place, **drawing.CROSS)
    crossed = "Crosses: a seed diverged, or the loss lies above the frame." * bool(lost.any())
    n, same = most_seeds(results)
    seeds = f", the mean over {'' if same else 'up to '}{n} seeds" if n > 1 else ", one seed"
    said = named.tolist()
    key = drawing.words_along([panel], said, labels.key_of(words(x), said)) if said else ""
    if not said:
        labels.thin_out(ax)
    drawing.small_print(fig, [key, *notes, f"One dot per config{seeds}.", grey, floor, crossed])
    return fig


def _has_gaps(z: np.ndarray) -> bool:
    """Whether some configs have none of a knob's numbers; words have an entry for that."""
    return style.is_numeric(z) and bool(pd.isna(z).any())


def _by_number(ax: "Axes", at: np.ndarray, mean: np.ndarray, hue: str, z: np.ndarray) -> None:
    from matplotlib.colors import LogNorm, Normalize

    read = pd.notna(z)
    ax.scatter(at[~read], mean[~read], color=style.MISSING, **DOT)
    at, mean, z = at[read], mean[read], z[read]
    kind = LogNorm if style.spacing(z) == "log" else Normalize
    dots = ax.scatter(at, mean, c=z, cmap="viridis", norm=kind(z.min(), z.max()), **DOT)
    ax.figure.colorbar(dots, ax=ax, label=words(hue), fraction=0.04, pad=0.02)


def _by_word(ax: "Axes", at: np.ndarray, mean: np.ndarray, hue: str, z: np.ndarray) -> None:
    """The commonest words in a colour and marker each, the others grey."""
    z = np.array(
        [
            text if read else "not read"
            for text, read in zip(style.texts(z.tolist()), pd.notna(z), strict=True)
        ]
    )
    names, counts = np.unique(z, return_counts=True)
    shown = sorted(names[np.argsort(-counts, kind="stable")[:MOST_HUES]])
    groups: list[tuple[str, Any, str]] = list(
        zip(shown, style.PALETTE, style.MARKERS, strict=False)
    )
    rest = ~np.isin(z, shown)
    if rest.any():
        ax.scatter(
            at[rest],
            mean[rest],
            color=style.MISSING,
            label=f"{len(names) - len(shown)} others",
            **DOT,
        )
    for name, colour, marker in groups:
        here = z == name
        ax.scatter(
            at[here], mean[here], color=colour, marker=marker, label=drawing.entry(name), **DOT
        )
    ax.figure.legend(title=words(hue), loc="outside right upper", alignment="left")
