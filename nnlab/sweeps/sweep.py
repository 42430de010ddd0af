"""A sweep: a model, data, labelled axes; runs to results."""

import os
from collections.abc import Mapping
from contextlib import nullcontext
from copy import copy
from dataclasses import replace
from functools import cached_property
from itertools import product
from math import prod
from typing import TYPE_CHECKING, Any, NamedTuple

from nnlab import trees
from nnlab.data.dataset import Dataset
from nnlab.errors import UsageError
from nnlab.lanes.devices import describe, devices, prepare
from nnlab.models.mlp import mlp
from nnlab.models.model import Model, Problem
from nnlab.sweeps.arrays import outputs_of, program_data
from nnlab.sweeps.axes import (
    CONFIG,
    DEFAULTS,
    PROGRAM_KNOBS,
    check_value,
    read_axes,
    structure,
    whole,
)
from nnlab.sweeps.describe import as_begun, describe_sweep
from nnlab.sweeps.execute import OF_TEST, execute
from nnlab.sweeps.grid import Grid, another, expand
from nnlab.sweeps.group import Group, make_groups
from nnlab.sweeps.labels import words
from nnlab.sweeps.metrics import check_judge
from nnlab.sweeps.predict import Prediction, predict
from nnlab.sweeps.progress import Watch, bar
from nnlab.sweeps.recipe import recipe
from nnlab.sweeps.record import read_record
from nnlab.sweeps.store import JUDGED_BY, Store, alone

if TYPE_CHECKING:
    from nnlab.sweeps.results import Results

MOST_LANES = 2**20
TAKEN = ("epoch", "config", "diverged_at", "run")
"""Names in results that are nobody's measure."""


class Summary(NamedTuple):
    """What a sweep will do, before anything is trained."""

    runs: int
    """Cells times seeds: what the results will hold."""
    trained: int
    """Runs that differ in something they read; the others share a result."""
    programs: int
    chunks: int
    lanes: tuple[int, ...]
    """Lanes of a chunk, per program."""
    config_steps: int
    """Training steps of all trained runs together."""
    bytes: int
    """Of the data and the largest program's chunk, at least, on all devices."""
    devices: str


class Sweep:
    """Runs over labelled axes: every combination of the axes' values is trained and recorded.

    `axes` maps a knob to its values: "init", "bias_init", "activation", "loss", "optimizer",
    "transform" and "schedule" take names with arguments ("normal(0.01)"), functions, or {label:
    function}; learning_rate, weight_decay, dropout, label_smoothing and every hyperparameter of a
    swept optimizer (momentum, beta1, ...) take numbers; "batch_norm" takes booleans, "seed" and
    "draw" (other initial weights of the same seed, with its batches and noise) whole numbers;
    "batch_size", "epochs", "precision", "reshuffle" (False replays one order of the training set in
    every epoch) and the model's own fields ("hidden") compile a program for each value. The axis
    "config" takes dictionaries of knobs that change together. Any other keyword fixes a knob for
    all runs. Lengths of schedules are in epochs. `record` asks for more than losses and accuracies:
    "train_accuracy" after every epoch, without dropout; and, kept in `Results.recorded`, "layers"
    (`LayerStatistics` of every hidden layer), "val_outputs", "test_outputs" (what `ensemble`
    needs), {label: function of a `Snapshot`}; or a list of these. A model that is its own loss
    (`nnlab.models.from_loss`) needs no data. `metrics` are measured of every validation example
    after each epoch, and of the test set at the end: names ("brier", "top_k_accuracy(3)"), or
    {label: function of one example's (outputs, target)}; the results call them val_brier,
    test_brier; one of yours is to be large where its name ends in accuracy or score. Raises
    UsageError, in one line, for whatever cannot be run.
    """

    def __init__(
        self,
        model: Model | None = None,
        data: Dataset | None = None,
        axes: Mapping[str, Any] | None = None,
        record: Any = (),
        metrics: Any = (),
        **knobs: Any,
    ):
        prepare()
        self.model: Model = mlp() if model is None else _check_model(model)
        self.data = _check_data(data, self.model)
        self.recording = read_record(record, metrics)
        self.tested = True
        if self.recording.labels and isinstance(self.model, Problem):
            raise UsageError(
                f"record and metrics are for networks, {words(self.model, 60)} is its own loss; "
                "give it measures: nnlab.models.from_loss(loss, start, {'norm': norm})"
            )
        if self.recording.fit and not self.data.classes:
            raise UsageError(
                f"record train_accuracy needs classes, and {self.data.name} has none; leave it out"
            )
        if not isinstance(axes, Mapping | None):
            raise UsageError(
                f"axes needs {{knob: values}}, got {words(axes, 60)}; try {{'init': ['he']}}"
            )
        axes = dict(axes or {})
        both = sorted(set(axes) & set(knobs))
        if both:
            raise UsageError(f"{both[0]} is both an axis and fixed; give it once")
        measured = self.model.measures if isinstance(self.model, Problem) else ()
        if taken := sorted(set(measured) & {*axes, *knobs, *DEFAULTS, *TAKEN}):
            raise UsageError(
                f"{taken[0]} is a knob or an axis, and a measure of the model; rename the measure"
            )
        fixed = {name: [value] for name, value in knobs.items()}
        read = read_axes(self.model, axes | fixed)
        self.axes = {name: read[name] for name in axes}
        self.axes.setdefault("seed", read.get("seed", [DEFAULTS["seed"]]))
        if "label_smoothing" in read and not self.data.classes:
            raise UsageError(
                f"label_smoothing changes nothing: {self.data.name} has no classes; leave it out"
            )
        self.given = tuple(fixed)
        natural = {
            "loss": "cross_entropy" if self.data.classes else "squared_error",
            "batch_size": min(DEFAULTS["batch_size"], len(self.data.train.y)),
        }
        defaults = {
            name: check_value(name, v, self.model) for name, v in {**DEFAULTS, **natural}.items()
        }
        self.knobs = defaults | {name: read[name][0] for name in fixed}

    def __repr__(self) -> str:
        """How many runs of what."""
        sizes = [f"{len(values)} {name}" for name, values in self.axes.items()]
        runs = prod(map(len, self.axes.values()))
        model = words(self.model, 60)
        return f"Sweep: {runs:,} runs = {' × '.join(sizes)} of {model} on {self.data.name}"

    @property
    def metrics(self) -> tuple[str, ...]:
        """The names of what the results will hold of training and validation, epoch by epoch."""
        if isinstance(self.model, Problem):
            return ("train_loss", "val_loss", *self.model.measures)
        natural = "accuracy" if self.data.classes else "squared_error"
        found = [natural, *(choice.label for choice in self.recording.metrics)]
        fitted = [f"train_{name}" for name in found] if self.recording.fit else []
        return ("train_loss", *fitted, "val_loss", *(f"val_{name}" for name in found))

    @property
    def losses(self) -> tuple[str, ...]:
        """The losses that are swept: more than one cannot be compared by their own values."""
        configs = [config["loss"] for config in self.axes.get(CONFIG, []) if "loss" in config]
        swept = [*self.axes.get("loss", []), *configs]
        return tuple(dict.fromkeys(choice.label for choice in swept))

    @cached_property
    def grid(self) -> Grid:
        """What each cell trains."""
        return expand(self.model, self.axes, self.knobs, self.given)

    def reads(self, cell: Mapping[str, Any]) -> set[str]:
        """Of a cell's knobs and the fixed ones, those without which its run would be another."""
        knobs = self.knobs | dict(cell)
        one, shaping = recipe(self.model, knobs), {*PROGRAM_KNOBS, *structure(self.model)}
        return {
            name
            for name in {*cell, *self.given}
            if name in shaping or recipe(self.model, {**knobs, name: another(knobs[name])}) != one
        }

    def unread(self) -> dict[str, list[int]]:
        """For each knob of the axis "config", the places of the configs that do not read it."""
        others = {k: values for k, values in self.axes.items() if k not in (CONFIG, "seed")}
        found: dict[str, list[int]] = {}
        for place, config in enumerate(self.axes.get(CONFIG, [])):
            left = set(config)
            for values in product(*others.values()):
                left -= self.reads({**dict(zip(others, values, strict=True)), **config})
                if not left:
                    break
            for knob in left:
                found.setdefault(knob, []).append(place)
        return found

    def without_test(self) -> "Sweep":
        """The same sweep for one who still chooses: it keeps nothing that test data say."""
        found = copy(self)
        found.tested = False
        kept = tuple(name for name in self.recording.keep if name != "test")
        found.recording = replace(self.recording, keep=kept)
        return found

    def groups(self, lanes: int | None = None) -> list[Group]:
        """The sweep's programs, each with its chunks; `lanes` overrules the planner."""
        if lanes is not None:
            lanes = whole("lanes", lanes, range(1, MOST_LANES + 1))
        seeds, recording = self.axes["seed"], self.recording
        made = make_groups(self.grid.recipes, seeds, self.data, devices(), lanes)
        return [replace(group, recording=recording) for group in made]

    def summary(self, lanes: int | None = None) -> Summary:
        """Count runs, programs, chunks, steps and bytes; nothing is trained."""
        groups, found = self.groups(lanes), devices()
        widest = max(g.chunk_bytes for g in groups)
        stored = trees.map(lambda a: a.nbytes, program_data(self.data))
        return Summary(
            runs=self.grid.cells.size * len(self.axes["seed"]),
            trained=sum(g.runs for g in groups),
            programs=len(groups),
            chunks=sum(g.shape.chunks for g in groups),
            lanes=tuple(g.shape.lanes for g in groups),
            config_steps=sum(g.runs * g.steps(self.data) for g in groups),
            bytes=len(found) * (widest + sum(trees.leaves(stored))),
            devices=describe(),
        )

    def predict(self, lanes: int | None = None) -> Prediction:
        """How long all of it will take on this machine, by a probe of each program.

        A probe compiles the program and trains a few steps, once; speeds are remembered.
        """
        return predict(self.groups(lanes), self.data, devices())

    def run(
        self,
        out: str | os.PathLike[str] | None = None,
        *,
        lanes: int | None = None,
        progress: bool | Watch = True,
        by: str | None = None,
    ) -> "Results":
        """Train every run that is not finished yet and return the results.

        With `out`, every finished chunk is kept in that directory and running the same sweep again
        continues there, to the same results bit for bit (by the same versions on the same kind of
        device; others are noted in the results). `progress` shows a bar on the terminal,
        or is called with a `Status` after every chunk. `by` is the metric to choose by, as in
        `Results.judged_by`; it is kept with the results until another is given.
        """
        check_judge(by, self.metrics, self.losses)
        if not isinstance(progress, bool) and not callable(progress):
            raise UsageError(f"progress is True, False or a function of a Status, got {progress!r}")
        groups = self.groups(lanes)
        description = self._described(groups, by)
        with alone(out):
            store = Store.open(out, description)
            if store.directory is not None:
                description = store.description()
                begun = as_begun(groups, description)
                if lanes is not None and [g.shape for g in groups] != [g.shape for g in begun]:
                    were = ", ".join(str(g.shape.lanes) for g in begun)
                    raise UsageError(
                        f"{out} was begun with chunks of {were} lanes "
                        "and keeps them; leave out lanes, or choose another directory"
                    )
                groups = begun
            with bar() if progress is True else nullcontext(progress or None) as watch:
                execute(groups, self.data, store, devices(), watch, self.tested)
            return results(description, store)

    def _described(self, groups: list[Group], by: str | None) -> dict[str, Any]:
        found = describe_sweep(self, groups)
        if not self.tested:
            known = found["constant"]
            found["constant"] = {k: known[k] for k in known if not k.startswith(OF_TEST)}
        rest = {"unread": self.unread(), JUDGED_BY: by}
        return found | {name: value for name, value in rest.items() if value}


def load(directory: str | os.PathLike[str]) -> "Results":
    """The results in a sweep's directory; runs that are not finished are NaN."""
    store = Store.existing(directory)
    return results(store.description(), store)


def results(description: dict[str, Any], store: Store) -> "Results":
    """A store's results, whose libraries (xarray, pandas) nothing needs before."""
    from nnlab.sweeps.assemble import assemble

    return assemble(description, store)


def _check_model(model: Any) -> Model:
    if isinstance(model, Model) and not isinstance(model, type):
        try:
            hash(model)
        except TypeError as error:
            raise UsageError(
                f"a model needs to be hashable, {words(model, 60)} is not ({error}); "
                "make it a dataclass(frozen=True) of numbers and tuples"
            ) from error
        return model
    flax = hasattr(model, "init") and hasattr(model, "apply")
    try_ = "nnlab.models.from_flax(module)" if flax else "nnlab.models.mlp([100, 100])"
    raise UsageError(f"model needs an nnlab model, got {words(model, 60)}; try {try_}")


def _check_data(data: Dataset | None, model: Model) -> Dataset:
    if data is None:
        from nnlab.data import load as load_data
        from nnlab.data import nothing

        return nothing() if isinstance(model, Problem) else load_data("digits")
    if not isinstance(data, Dataset):
        raise UsageError(
            f"data needs a data set, got {type(data).__name__}; "
            "try nnlab.data.load('digits') or nnlab.data.from_arrays(x, y)"
        )
    if not isinstance(model, Problem) and not outputs_of(data):
        raise UsageError(
            f"{data.name} has no targets to train {words(model, 60)} on; "
            "give from_arrays(x, y), or a model that is its own loss: nnlab.models.from_loss"
        )
    return data
