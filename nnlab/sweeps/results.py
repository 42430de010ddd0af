"""What a sweep found: labelled arrays, and the questions people ask of them.

Conventions, kept by every method.  An unfinished run (`diverged_at` = -1) is missing: it is left
out of means and of n.  A diverged run is not missing: its loss is +inf, so the mean loss of a cell
with a diverged seed is +inf and has no interval; its accuracy counts as recorded (chance or 0), and
whatever else is not finite as the worst there is.
Which of two values is better is said by `sweeps.metrics.larger_is_better`.  A metric with a history
is taken at the last epoch unless `epoch` says otherwise.  Intervals are Student's t over seeds;
with one seed they are NaN.
"""

import json
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd
import xarray as xr

from nnlab.errors import UsageError, unknown
from nnlab.nn.losses import NEVER_NEGATIVE
from nnlab.sweeps import choosing, netcdf
from nnlab.sweeps.choosing import DRAW
from nnlab.sweeps.labels import label, place_of
from nnlab.sweeps.metrics import (
    check_comparable,
    check_judge,
    is_share,
    larger_is_better,
    of_examples,
)
from nnlab.sweeps.rows import RUN, Table, rows
from nnlab.sweeps.statistics import labelled, paired_interval, t_interval
from nnlab.sweeps.store import JUDGED_BY

Names = str | Iterable[str]
OWN = ("diverged_at", RUN)
"""Variables that are no metrics."""
CONSTANT = "constant_"
"""Before a metric: the attribute that holds what one answer for all examples scores."""
Epoch = int | Literal["all"] | None
KINDS = ("train", "val", "test")


@dataclass(frozen=True, eq=False, repr=False)
class Results:
    """Finished runs over labelled axes: [axis, ..., seed, epoch].

    `dataset` holds one dimension per swept axis (or the single dimension "config" of a random
    search, with the knobs as coordinates along it), then "seed", then "epoch".
    """

    dataset: xr.Dataset
    recorded: xr.Dataset = field(default_factory=xr.Dataset)
    """What a sweep was asked to record, [axis, ..., seed, epoch, ...]; epoch 0 is the start."""

    def __post_init__(self) -> None:
        if "seed" not in self.dataset.dims or "diverged_at" not in self.dataset:
            raise UsageError(
                "this dataset is not the result of a sweep; it needs a dimension 'seed' and a "
                "variable 'diverged_at'; try Results.open on a results.nc that nnlab wrote"
            )

    def __getitem__(self, metric: str) -> xr.DataArray:
        return self.dataset[metric if metric == "diverged_at" else self._metric(metric)]

    def __repr__(self) -> str:
        sizes = [f"{self.dataset.sizes[name]} {name}" for name in (*self.axes, "seed")]
        shared = f" in {self.finished.size:,} cells" * (self.runs < self.finished.size)
        epochs = f", {self.dataset.sizes['epoch']} epochs" if "epoch" in self.dataset.dims else ""
        data = f", data {self.dataset.attrs['data']}" if "data" in self.dataset.attrs else ""
        finished, diverged = self.count(self.finished), self.count(self.diverged)
        return (
            f"Results: {self.runs:,} runs{shared} = {' × '.join(sizes)}{epochs}{data}; "
            f"{finished:,} finished, {diverged:,} of them diverged\n"
            f"  metrics: {', '.join(self.metrics)}"
        )

    # What is there -----------------------------------------------------------------------------

    @property
    def axes(self) -> tuple[str, ...]:
        """The names of the swept axes, in order, without seed and epoch."""
        dims = (str(name) for name in self.dataset["diverged_at"].dims)
        return tuple(name for name in dims if name != "seed")

    @property
    def knobs(self) -> tuple[str, ...]:
        """The names of all that varies between configs: axes, and coordinates along them."""
        along = (
            str(name)
            for name, coordinate in self.dataset.coords.items()
            if coordinate.dims and set(coordinate.dims) <= set(self.axes)
        )
        named = [name for name in along if name not in self.axes and name != "config"]
        return (*(name for name in self.axes if name != "config"), *named)

    @property
    def metrics(self) -> tuple[str, ...]:
        """The names of what was measured."""
        return tuple(str(name) for name in self.dataset.data_vars if name not in OWN)

    @property
    def configs(self) -> int:
        """How many distinct configs there are: cells that differ in nothing they read are one."""
        return int(self.distinct.sum())

    @property
    def runs(self) -> int:
        """How many runs there are, finished or not; those that cells share count once."""
        return self.configs * self.dataset.sizes["seed"]

    @property
    def distinct(self) -> xr.DataArray:
        """[axis, ...], True at the first cell of each distinct config."""
        run = self.dataset.get(RUN)
        if run is None:
            return xr.ones_like(self.dataset["diverged_at"].isel(seed=0, drop=True), dtype=bool)
        first = np.zeros(run.size, bool)
        first[np.unique(run.values, return_index=True)[1]] = True
        return run.copy(data=first.reshape(run.shape))

    @property
    def headline(self) -> str:
        """The metric to choose by, of validation data if there are any, or that of `judged_by`."""
        if (asked := self.dataset.attrs.get(JUDGED_BY)) in self.metrics:
            return str(asked)
        error = ("val_squared_error",) if len(self.losses(self.axes)) > 1 else ()
        order = ("val_accuracy", *error, "val_loss", "train_loss")
        usable = [m for m in order if m in self.metrics and bool(self.dataset[m].notnull().any())]
        return (usable or [m for m in order if m in self.metrics] or list(self.metrics))[0]

    @property
    def settings(self) -> dict[str, Any]:
        """What the sweep was, as its directory describes it; nothing where results do not say."""
        try:
            found = json.loads(self.dataset.attrs.get("sweep", "{}"))
        except (TypeError, ValueError):
            return {}
        return found if isinstance(found, dict) else {}

    @property
    def finished(self) -> xr.DataArray:
        """[..., seed], True where the run was trained to its end or diverged."""
        return self.dataset["diverged_at"] >= 0

    @property
    def diverged(self) -> xr.DataArray:
        """[..., seed], True where some epoch had a loss that is not finite."""
        return self.dataset["diverged_at"] > 0

    def count(self, which: xr.DataArray) -> int:
        """How many runs are `which` [axis, ..., seed]; those that cells share count once."""
        return int((which & self.distinct).sum())

    def reads(self, axis: str) -> xr.DataArray:
        """[other axes...], True where the axis makes a difference: Adam does not read momentum."""
        (axis,) = self._over([axis])
        run = self.dataset.get(RUN)
        if run is None or self.dataset.sizes[axis] == 1:
            here = self.dataset["diverged_at"].isel({axis: 0, "seed": 0}, drop=True)
            return xr.full_like(here, True, dtype=bool)
        return (run != run.isel({axis: 0}, drop=True)).any(axis)

    def labels(self, axis: str) -> np.ndarray:
        """The values the user wrote along an axis or knob (0, 1, … where there are none)."""
        if axis in self.dataset.dims and axis not in self.dataset.coords:
            return np.arange(self.dataset.sizes[axis])
        if axis not in (*self.axes, *self.knobs, "seed", "epoch"):
            raise unknown("axis", axis, (*self.axes, *self.knobs, "seed", "epoch"))
        return self.dataset[axis].values

    def values(self, metric: str, epoch: Epoch = None) -> xr.DataArray:
        """One number per run, under the conventions above; with epoch="all", its whole history."""
        x = self[metric].astype(float)
        if of_examples(metric):
            x = x.where(np.isfinite(x), -np.inf if larger_is_better(metric) else np.inf)
        x = x.where(self.finished)
        if "epoch" not in x.dims and epoch is not None:
            raise UsageError(f"{metric} is measured once, not every epoch; leave out epoch")
        if "epoch" not in x.dims:
            return x
        epochs = self.dataset["epoch"] if "epoch" in self.dataset.coords else x["epoch"] + 1
        last = self.dataset["epochs"] if "epochs" in self.dataset.coords else epochs[-1]
        x = x.where(epochs <= last)
        if epoch == "all":
            return x
        if epoch is not None and epoch not in epochs:
            raise UsageError(
                f"epoch {epoch} was not recorded; choose from {int(epochs[0])}..{int(epochs[-1])}"
            )
        end = xr.DataArray(last) if epoch is None else xr.DataArray(epoch)
        place = xr.DataArray(np.searchsorted(epochs[:-1], end), dims=end.dims)
        return x.isel(epoch=place, drop=True)

    def sel(self, **choices: Any) -> "Results":
        """The part of the results at the named values: `results.sel(optimizer="adam")`.

        Several values keep the axis: `results.sel(optimizer=["adam", "sgd"])`; seeds always do.
        """
        places = {axis: self._places(axis, value) for axis, value in choices.items()}
        return Results(self.dataset.isel(places), self.recorded.isel(places, missing_dims="ignore"))

    def with_data(self, dataset: xr.Dataset) -> "Results":
        """The same results with other data in their dataset; what was recorded stays."""
        return replace(self, dataset=dataset)

    def judged_by(self, metric: str | None) -> "Results":
        """The same results, with another headline to choose by (None: as it was) in every report.

        Raises UsageError for an unknown metric, for one of test data, and for a loss where there
        are losses of several kinds.
        """
        check_judge(metric, self.metrics, self.losses(self.axes))
        named = {} if metric is None else {JUDGED_BY: metric}
        return self.with_data(self.dataset.assign_attrs(named))

    # Questions ---------------------------------------------------------------------------------

    def mean(
        self, metric: str, over: Names = "seed", confidence: float = 0.95, epoch: Epoch = None
    ) -> xr.Dataset:
        """The mean over seeds, with its interval: variables mean, low, high, n.

        Further axes in `over` are averaged inside each seed first, because runs of one seed share
        their random numbers; the interval is over seeds all the same. It ends where means do: that
        of an accuracy at 0 and 1, that of a loss that is known to be never negative at 0.
        """
        inner = self._over([name for name in _names(over) if name != "seed"])
        x = self.values(metric, epoch).mean(inner, skipna=False)
        where = self.finished.all(inner)
        found = labelled(t_interval, confidence, where, x)
        if is_share(metric):
            found["high"] = found["high"].clip(max=1)
        if is_share(metric) or self._never_negative(metric):
            found["low"] = found["low"].clip(min=0)
        return found

    def difference(
        self,
        metric: str,
        dim: str,
        reference: Any,
        confidence: float = 0.95,
        epoch: Epoch = None,
    ) -> xr.Dataset:
        """Every value of an axis minus the reference value, paired by seed: mean, low, high, n."""
        (dim,) = self._over([dim])
        check_comparable(metric, self.losses([dim]), self.metrics)
        place = {dim: self._place(dim, reference)}
        x, finished = self.values(metric, epoch), self.finished
        y = x.isel(place, drop=True).broadcast_like(x).transpose(*x.dims)
        where = finished & finished.isel(place, drop=True)
        return labelled(paired_interval, confidence, where, x, y)

    def tuned(self, metric: str | None = None, over: Names | None = None) -> "Results":
        """The results at the best place along the `over` axes, for each cell of the other axes.

        The best place has the best mean of `metric` over seeds.  Candidates are compared on the
        seeds that all of them finished; where there is no such seed, those with the most finished
        seeds compete.  A mean that is not finite never wins, nor does a place of which every run
        diverged.  For values of other axes only those compete who read them all, or any where none
        reads all: Adam says nothing about momentum 0.5.  The chosen values stay as coordinates
        along the other axes; they are missing where the chosen run does not read them, and where
        nobody wins: there the runs are those of a candidate with the most finished seeds.
        """
        return choosing.tuned(self, metric or self.headline, self._over(over))

    def best(
        self,
        metric: str | None = None,
        over: Names | None = None,
        report: Names = (),
        confidence: float = 0.95,
    ) -> Table:
        """For each cell of the other axes, the best place along `over` (None: all axes but draw).

        Variables: the chosen value of each axis in `over`, the metric with `_low` and `_high`, the
        same for each metric in `report`, the numbers `n` of finished and `diverged` of diverged
        seeds, and `at_border`: a chosen number ends its axis (see `border`), so a better one may
        lie beyond.  Choose on validation data, report on test data: its examples are fresh.  The
        networks are those that chose, and what luck they had they show there too; fresh seeds do
        not (`nnlab.confirm`).
        """
        metric, over = metric or self.headline, self._over(over)
        chosen = self.tuned(metric, over)
        n, at_border = chosen.finished.sum("seed"), chosen.finished.any("seed") & False
        table: dict[str, xr.DataArray] = {}
        for knob in self.along(over):
            table[knob] = chosen.dataset[knob]
            at_border = at_border | (self.border(knob, metric, table[knob]) != 0)
        for name in dict.fromkeys((metric, *_names(report))):
            m = chosen.mean(name, confidence=confidence)
            table |= {name: m["mean"], f"{name}_low": m["low"], f"{name}_high": m["high"]}
        table |= {"n": n, "diverged": chosen.diverged.sum("seed"), "at_border": at_border}
        coordinates = {k: chosen.dataset[k].variable for k in chosen.knobs if k not in table}
        coordinates |= {a: (a, chosen.labels(a)) for a in chosen.axes}
        return Table({k: v.variable for k, v in table.items()}, coordinates)

    def border(self, knob: str, metric: str, chosen: xr.DataArray) -> xr.DataArray:
        """-1 where a chosen number is the lower border of what was tried, 1 the upper, else 0.

        On a grid that is its first or last value; in a random search it is where the best configs
        crowd (see `sweeps.border`).  A lower border of 0 is natural, not a limit.  Of what was
        `tuned` before, nobody knows here what was tried.
        """
        return choosing.at_border(self, knob, metric, chosen)

    def to_dataframe(self, epoch: Epoch = None) -> pd.DataFrame:
        """Tidy: one row per run, a column per knob and metric; with epoch="all", per run and epoch.

        The longer table leaves out what is measured once.  A knob that a run does not read
        is missing, and cells that share a run are one row (configs listed by hand keep theirs).
        """
        history = {m: "epoch" in self.dataset[m].dims for m in self.metrics}
        kept = [m for m in self.metrics if history[m] or epoch != "all"]
        columns = {m: self.values(m, epoch if history[m] else None) for m in kept}
        table = xr.Dataset({**columns, "diverged_at": self.dataset["diverged_at"]})
        return rows(self, table).reset_index(drop=True)

    # Storing -----------------------------------------------------------------------------------

    def save(self, path: str | Path) -> Path:
        """Write one NetCDF file (compressed, replaced in one move) and return its path."""
        netcdf.write(Path(path), self.dataset, self.recorded)
        return Path(path)

    @classmethod
    def open(cls, path: str | Path) -> "Results":
        """Read what `save` wrote; a folder stands for the results.nc in it."""
        return cls(*netcdf.read(Path(path)))

    # Names and places --------------------------------------------------------------------------

    def _metric(self, name: str) -> str:
        if name not in self.metrics:
            raise unknown("metric", name, self.metrics)
        return name

    def _never_negative(self, metric: str) -> bool:
        """Whether a metric is known to be at least 0, as no function of one's own is."""
        kind, _, name = metric.partition("_")
        losses = self.dataset.coords.get("loss", self.settings.get("loss"))
        labels = np.ravel(losses) if name == "loss" else [name]
        own = {key.partition(" ")[2] for key in self.settings.get("functions", ())}
        known = (NEVER_NEGATIVE | {"brier"}) - own
        return kind in KINDS and all(str(label).partition("(")[0] in known for label in labels)

    def _over(self, names: Names | None) -> list[str]:
        over = [a for a in self.axes if a != DRAW] if names is None else _names(names)
        for name in over:
            if name not in self.axes:
                raise unknown("axis", name, self.axes)
        return over

    def losses(self, axes: Iterable[str]) -> list[str]:
        """The losses there are along some axes."""
        along = "loss" in self.along(list(axes))
        kinds = dict.fromkeys(self.labels("loss").tolist()) if along else {}
        return [str(kind) for kind in kinds if not pd.isna(kind)]

    def along(self, axes: list[str]) -> list[str]:
        """The axes, and the knobs that are coordinates along them."""
        knobs = [k for k in self.knobs if k not in self.axes]
        return axes + [k for k in knobs if set(self.dataset[k].dims) & set(axes)]

    def _places(self, axis: str, value: Any) -> int | list[int]:
        """Where on an axis one value is, or several are."""
        one = isinstance(value, tuple) and label(value) in self.labels(axis)  # hidden sizes
        several = isinstance(value, list | tuple | range | np.ndarray) and not one
        values: list[Any] = list(value) if several else [value]
        if not values:
            raise UsageError(f"sel got no value of {axis}; give one or more")
        places = [self._place(axis, v) for v in values]
        return places if several or axis == "seed" else places[0]

    def _place(self, axis: str, value: Any) -> int:
        """Where on an axis a value is."""
        if axis not in (*self.axes, "seed"):
            raise unknown("axis", axis, (*self.axes, "seed"))
        return place_of(value, self.labels(axis), axis)


def _names(names: Names) -> list[str]:
    return [names] if isinstance(names, str) else list(names)
