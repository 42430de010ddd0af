"""A workload as arrays: weights, batch order and noise keys as nnlab draws them, ready-made.

The other peers get them as numpy arrays, so that everybody does the same training and nobody else
pays for drawing.
"""

from dataclasses import dataclass, field
from itertools import product
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks.workloads import Config, Workload
from nnlab import trees
from nnlab.data.dataset import Split
from nnlab.lanes.devices import host
from nnlab.models.model import Settings
from nnlab.nn.initializers import zeros
from nnlab.sweeps.choices import resolve
from nnlab.train.keys import Stream, root, stream
from nnlab.train.order import order


@dataclass(frozen=True)
class Inputs:
    """A workload as float32 numpy arrays, ready for a program that trains it."""

    train: Split
    valid: Split
    test: Split
    rows: dict[int, np.ndarray]
    """[epochs, steps, batch] by seed: the training examples of each batch."""
    starts: dict[tuple[str, str, int], Any] = field(repr=False)
    """nnlab's initial weights by (init, activation, seed)."""

    def start(self, config: Config) -> Any:
        """A config's initial weights."""
        return self.starts[config.init, config.activation, config.seed]

    def convs(self, config: Config) -> list[tuple[np.ndarray, np.ndarray]]:
        """Kernels [height, width, inputs, outputs] and biases of the convolutions, if any."""
        return list(getattr(self.start(config), "convs", ()))

    def norms(self, config: Config) -> list[tuple[np.ndarray, np.ndarray]]:
        """Scales and shifts of the batch norms, if any."""
        return list(getattr(self.start(config), "norms", ()))


def inputs(work: Workload, toward: float | None = None) -> Inputs:
    """The arrays of a workload, drawn as nnlab draws them.

    Every weight may be moved to the next float32 `toward` plus or minus infinity: what becomes of
    that in training is what rounding alone may do.
    """
    data = work.dataset
    examples, epoch_steps = len(data.train.y), work.steps // work.epochs
    draw_order = jax.jit(order, static_argnums=(2, 3, 4))

    def ready(split: Split) -> Split:
        x = (split.x.astype(np.float32) - data.offset) * data.scale
        return Split(x if work.channels else x.reshape(len(x), -1), split.y)

    def rows(seed: int) -> np.ndarray:
        key, epochs = stream(root(seed), Stream.ORDER), jnp.arange(work.epochs)
        return np.array([draw_order(key, e, examples, epoch_steps, work.batch) for e in epochs])

    def start(init: str, activation: str, seed: int) -> Any:
        choice = resolve("init", init)
        settings = Settings(
            init=choice.function(**dict(choice.static + choice.numbers)),
            bias_init=zeros(),
            activation=resolve("activation", activation).function,
            batch_norm=True if work.batch_norm else None,
        )
        key = stream(root(seed), Stream.WEIGHTS)
        weights, _ = work.model.start(key, data.shape, data.classes, settings)
        weights = trees.map(np.asarray, weights)
        if toward is None:
            return weights
        return trees.map(lambda w: np.nextafter(w, np.float32(toward)), weights)

    with jax.default_device(host()):
        return Inputs(
            *map(ready, (data.train, data.valid, data.test)),
            rows={seed: rows(seed) for seed in work.seeds},
            starts={
                key: start(*key) for key in product(work.inits, work.activations, work.seeds)
            },
        )  # fmt: skip
