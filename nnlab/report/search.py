"""A random search as figures and a table: its best trials, their curves, each knob's trials."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from nnlab.report import drawing, labels, style
from nnlab.report.style import text, words
from nnlab.sweeps.labels import label
from nnlab.sweeps.metrics import larger_is_better
from nnlab.sweeps.search import Search, Trial
from nnlab.sweeps.space import Range

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MOST_KNOBS = 6
STAGE_MARKERS = ("o", "D", "^", "s")
UNREAD = "#AAAAAA"
"""The colour of a trial that does not read the knob that gives the colours."""
ROOM = 0.02
"""Beyond a range's ends, as a share of it: dots at the ends are whole."""


def best_trials(search: Search, most: int | None = None) -> pd.DataFrame:
    """The best trials first: the metric, each knob that was searched, the stage.

    A knob that a trial does not read is missing there. Where trials diverged, "diverged" says
    which: they come last, whatever their accuracy.
    """
    trials = search.trials[:most]
    columns = {search.metric: [trial.value for trial in trials]}
    columns |= {knob: _values(trials, knob) for knob in search.spaces[0]}
    columns["stage"] = [trial.stage for trial in trials]
    if any(trial.diverged for trial in search.trials):
        columns["diverged"] = [trial.diverged for trial in trials]
    return pd.DataFrame(columns)


@style.styled
def trial_curves(search: Search, most: int = 20) -> "Figure":
    """The metric of the best trials against the epoch, coloured by the first range's knob."""
    found = list(search.trials[:most])
    own = [_curve(search, trial) for trial in found]
    every, floor = style.floored(np.concatenate(own), search.metric)
    curves = np.split(every, np.cumsum([len(curve) for curve in own])[:-1])
    fig = style.figure(
        f"{style.capital(words(search.metric))} of the best {len(found)} of "
        f"{len(search.trials)} trials by epoch"
    )
    ax = fig.subplots()
    knob = next((k for k, v in search.spaces[0].items() if isinstance(v, Range)), None)
    colours = _ramp(fig, ax, search, knob, found)
    for place in reversed(range(len(found))):
        epochs = np.arange(1, len(curves[place]) + 1)
        first = place == 0
        ax.plot(epochs, curves[place], color=colours[place], linewidth=4 if first else 1.8)
    ax.plot([], [], color="#555555", linewidth=4, label="the best trial")
    style.y_scale(ax, search.metric, every)
    style.whole_numbers(ax.xaxis)
    ax.set_xlabel("epoch")
    ax.set_ylabel(words(search.metric))
    ax.legend(loc="lower right" if larger_is_better(search.metric) else "upper right")
    n = search.stages[0].dataset.sizes["seed"]
    one = f"One line per trial, {'one seed' if n == 1 else f'{n} seeds'}."
    grey = f"Grey: the {words(knob)} is not read." if knob and _unread(found, knob) else ""
    drawing.small_print(fig, [one, grey, floor])
    return fig


@style.styled
def trial_knobs(search: Search) -> "Figure":
    """Every trial's metric over each knob that was searched, a look for each stage."""
    knobs = list(search.spaces[0])[:MOST_KNOBS]
    fig = style.figure(f"{style.capital(words(search.metric))} of {len(search.trials)} trials")
    columns = drawing.columns_for(len(knobs))
    rows = -(-len(knobs) // columns)
    axes = list(fig.subplots(rows, columns, sharey=True, squeeze=False).flat)
    value, floor = style.floored([trial.value for trial in search.trials], search.metric)
    stage = np.array([trial.stage for trial in search.trials])
    for ax, knob in zip(axes, knobs, strict=False):
        at = _along(ax, search, knob)
        for n in range(1, len(search.stages) + 1):
            look: dict[str, Any] = {
                "color": style.PALETTE[(n - 1) % 7],
                "marker": STAGE_MARKERS[(n - 1) % 4],
            }
            ax.scatter(at[stage == n], value[stage == n], s=45, alpha=0.7, **look)
        ax.set_xlabel(words(knob))
    for ax in axes[len(knobs) :]:
        ax.remove()
    style.y_scale(axes[0], search.metric, value)
    fig.supylabel(words(search.metric), fontsize=16)
    _legend(fig, len(search.stages))
    left_out = len(search.spaces[0]) - len(knobs)
    notes = ["One dot per trial; grey: the outer tenth of the range that was searched first."]
    notes.append("No dot where a knob is not read." * any(_unread(search.trials, k) for k in knobs))
    notes += [floor, f"{left_out} more knobs are not shown." * bool(left_out)]
    for ax, knob in zip(axes, knobs, strict=False):
        space = search.spaces[0][knob]
        if isinstance(space, Range):
            labels.thin_out(ax)
        else:
            names = [text(label(value)) for value in space]
            key = labels.key_of(words(knob), names)
            notes.append(labels.words_along_x([ax], names, key))
    drawing.small_print(fig, notes)
    return fig


def _curve(search: Search, trial: Trial) -> np.ndarray:
    """The mean over seeds of a trial's metric, every epoch."""
    mean = search.stages[trial.stage - 1].mean(search.metric, epoch="all")["mean"]
    return mean.isel(config=trial.config).values


def _values(trials: Sequence[Trial], knob: str) -> list[Any]:
    """A knob's value in each trial, None where it is not read."""
    return [label(trial.knobs[knob]) if knob in trial.knobs else None for trial in trials]


def _unread(trials: Sequence[Trial], knob: str) -> bool:
    return any(knob not in trial.knobs for trial in trials)


def _ramp(
    fig: "Figure", ax: "Axes", search: Search, knob: str | None, trials: Sequence[Trial]
) -> list[Any]:
    """A colour for each trial by a range's knob, with its bar; without a range, one colour."""
    values = [trial.knobs[knob] for trial in trials if knob in trial.knobs]
    if knob is None or not values:
        return [style.PALETTE[0]] * len(trials)
    from matplotlib import colormaps
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import LogNorm, Normalize

    space = search.spaces[0][knob]
    log = isinstance(space, Range) and space.log and max(values) > 3 * min(values)
    norm = (LogNorm if log else Normalize)(min(values), max(values))
    colours = ScalarMappable(norm, colormaps["viridis_r"])
    bar = fig.colorbar(colours, ax=ax, label=words(knob), fraction=0.04, pad=0.02)
    if log:
        style.log_ticks(bar.ax.yaxis, max(values) / min(values))
    return [
        colours.to_rgba(trial.knobs[knob]) if knob in trial.knobs else UNREAD for trial in trials
    ]


def _along(ax: "Axes", search: Search, knob: str) -> np.ndarray:
    """Where the trials lie along a knob; a range has its scale, its ends and its borders."""
    space = search.spaces[0][knob]
    values = _values(search.trials, knob)
    if not isinstance(space, Range):
        names = [text(label(value)) for value in space]
        ax.set_xlim(-0.6, len(names) - 0.4)
        return np.array([np.nan if v is None else names.index(text(v)) for v in values], float)
    if space.log:
        ax.set_xscale("log")
        style.log_ticks(ax.xaxis, space.high / space.low)
        room = (space.high / space.low) ** ROOM
        ax.set_xlim(space.low / room, space.high * room)
    else:
        room = (space.high - space.low) * ROOM
        ax.set_xlim(space.low - room, space.high + room)
    for ends in space.borders():
        ax.axvspan(*ends, color=style.MISSING, zorder=0, linewidth=0)
    return np.array(values, float)


def _legend(fig: "Figure", stages: int) -> None:
    from matplotlib.lines import Line2D

    if stages < 2:
        return
    names = ["coarse", *[f"finer {n}" if stages > 2 else "fine" for n in range(1, stages)]]
    handles = [
        Line2D(
            [],
            [],
            color=style.PALETTE[n % 7],
            marker=STAGE_MARKERS[n % 4],
            linestyle="",
            label=name,
        )
        for n, name in enumerate(names)
    ]
    fig.legend(handles=handles, loc="outside right upper", title="stage", alignment="left")
