"""What a sweep records of every run on request, beside losses and accuracies.

A recording function sees one run at one moment, as a `Snapshot`, and returns arrays. It is lifted
like everything else: evaluated at the start and after every epoch inside the compiled program.
Outputs for whole sets are kept once training ends. What nobody asks for is not in the program.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from nnlab import trees
from nnlab.data.dataset import Dataset
from nnlab.errors import UsageError, unknown
from nnlab.models.model import Network, Settings
from nnlab.models.signals import LayerStatistics, Signal, layer_statistics, signals
from nnlab.sweeps.blame import blamed, came
from nnlab.sweeps.build import Chosen, run_settings
from nnlab.sweeps.choices import Choice
from nnlab.sweeps.labels import words
from nnlab.sweeps.metrics import read_metrics
from nnlab.sweeps.recipe import Recipe
from nnlab.train.keys import root
from nnlab.train.loop import Plan
from nnlab.train.task import Task
from nnlab.types import Array

PREFIX, TARGETS = "recorded.", "targets."
"""Before the names of what is recorded in a chunk; metrics have none."""
KEPT = {"val_outputs": "val", "test_outputs": "test"}
FIT = "train_accuracy"
BUILT_IN = ("layers", FIT, *KEPT)


@dataclass(frozen=True)
class Snapshot:
    """One run at one moment, with a fixed batch: the first (at most 1,000) validation examples."""

    model: Network
    params: Any
    stats: Any
    x: Array
    """As the network sees them."""
    y: Array
    settings: Settings

    def outputs(self) -> Array:
        """The model's answers [batch, outputs], in evaluation mode."""
        return self.model.apply(self.params, self.stats, self.x, self.settings, None)[0]

    def layers(self) -> tuple[Signal, ...]:
        """What passes through each activation as in training, but without dropout.

        So batch norm normalises by this batch: its running statistics mean nothing at the start.
        """
        settings = self.settings._replace(dropout=None)
        return signals(self.model, self.params, self.stats, self.x, settings, root(0))


Function = Callable[[Snapshot], Any]
"""A recording function: an array, or {name: array}, of one run at one moment."""


def layers(run: Snapshot) -> dict[str, Array]:
    """Each hidden layer's `LayerStatistics`: "layer_mean" [layer], "layer_std" [layer], ..."""
    found = run.layers()
    if not found:
        return {}
    shapes = [trees.map(jnp.shape, signal) for signal in found]
    rows: dict[int, LayerStatistics] = {}
    for shape in dict.fromkeys(shapes):  # layers of one shape together: it compiles much faster
        same = [i for i, own in enumerate(shapes) if own == shape]
        alike = trees.map(lambda *a: jnp.stack(a), *(found[i] for i in same))
        summed = jax.vmap(layer_statistics)(alike)
        rows |= {i: trees.map(lambda a, at=at: a[at], summed) for at, i in enumerate(same)}
    stacked = trees.map(lambda *a: jnp.stack(a), *(rows[i] for i in range(len(found))))
    return {f"layer_{name}": array for name, array in stacked._asdict().items()}


@dataclass(frozen=True)
class Recording:
    """What a sweep was asked to record."""

    functions: tuple[tuple[str, Function], ...] = ()
    keep: tuple[str, ...] = ()
    """Sets whose outputs are kept."""
    fit: bool = False
    """Whether training examples are measured as validation examples are."""
    metrics: tuple[Choice, ...] = ()
    """What is measured of all examples, beside losses and accuracies."""

    @property
    def labels(self) -> list[str]:
        """What was asked for, in words: these identify it."""
        functions = [label for label, _ in self.functions]
        metrics = [f"metric {choice.label}" for choice in self.metrics]
        kept = [f"{name}_outputs" for name in self.keep]
        return functions + [FIT] * self.fit + kept + metrics

    def plan(self, plan: Plan) -> Plan:
        """A loop that measures and keeps what is asked for."""
        return plan._replace(keep=self.keep, fit=self.fit)

    def task(self, task: Task, recipe: Recipe, activation: Chosen | None = None) -> Task:
        """A task that observes what is to be recorded; `activation` as in `build_task`."""
        model = recipe.model
        if not self.functions or not isinstance(model, Network):
            return task

        def observe(params, stats, x, y, numbers):
            settings = run_settings(recipe, numbers, activation)
            run = Snapshot(model, params, stats, x, y, settings)
            found: dict[str, Array] = {}
            for label, function in self.functions:
                with blamed(f"record {label}"):
                    new = named(label, function(run))
                if twice := sorted(set(found) & set(new)):
                    raise UsageError(f"record {label} gives {twice[0]} a second time; rename it")
                found |= new
            return found

        return task._replace(observe=observe)

    def targets(self, data: Dataset) -> Iterator[tuple[str, np.ndarray]]:
        """The right answers beside the outputs that are kept."""
        sets = {"val": data.valid, "test": data.test}
        for name in self.keep:
            yield f"{TARGETS}{name}", sets[name].y


NOTHING = Recording()


def read_record(record: Any, metrics: Any = ()) -> Recording:
    """A name, a {label: function}, or a list of them; `metrics` as in `read_metrics`.

    Raises UsageError for anything else.
    """
    many = isinstance(record, Sequence) and not isinstance(record, str)
    items = list(record) if many else [record]
    functions: dict[str, Function] = {}
    keep: list[str] = []
    fit = False
    for item in items:
        if isinstance(item, str) and item in KEPT:
            keep.append(KEPT[item])
        elif isinstance(item, str) and item == FIT:
            fit = True
        elif isinstance(item, str) and item == "layers":
            functions["layers"] = layers
        elif isinstance(item, str):
            raise unknown("record", item, BUILT_IN)
        elif not isinstance(item, Mapping):
            raise UsageError(
                f"record takes names or {{name: function}}, got {words(item, 60)}; try 'layers' or "
                "{'outputs': lambda run: run.outputs()}"
            )
        else:
            for label, function in item.items():
                check_function(label, function)
                functions[label] = function
    return Recording(
        tuple(functions.items()), tuple(dict.fromkeys(keep)), fit, read_metrics(metrics)
    )


def check_function(label: Any, function: Any) -> None:
    """Raise UsageError for what is no recording function, or cannot be named like this."""
    if not isinstance(label, str) or not label.isidentifier() or label in BUILT_IN:
        raise UsageError(
            f"record {words(label, 60)}: a recording needs a name of letters, digits and _, other "
            f"than {', '.join(BUILT_IN)}; try 'mine'"
        )
    if not callable(function):
        raise UsageError(
            f"record {label} needs a function of a run, got {words(function, 60)}; "
            "try lambda run: run.outputs()"
        )


def named(label: str, found: Any) -> dict[str, Array]:
    """Arrays by the names of their variables."""
    if label == "layers":
        return found
    arrays = {label: found}
    if isinstance(found, Mapping):
        arrays = {f"{label}_{name}": array for name, array in found.items()}
    for name, array in arrays.items():
        if not hasattr(array, "dtype") and not isinstance(array, int | float):
            raise UsageError(f"record {label} returns {came(array)} as {name}; it needs an array")
    return {name: jnp.asarray(array, jnp.float32) for name, array in arrays.items()}
