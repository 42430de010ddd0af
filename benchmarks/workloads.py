"""What the peers train: the same data, batches, initial weights and configs for everybody.

A workload is a grid of configs over one network. Weights, batch order and the
scaling of the data are nnlab's; they are handed to the other peers ready-made, as numpy arrays, so
that nobody else pays for them.
"""

from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import pairwise, product
from math import prod
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from nnlab import trees
from nnlab.data.arrays import from_arrays
from nnlab.data.dataset import Dataset, Split
from nnlab.data.load import load
from nnlab.models.convnet import ConvNet, convnet
from nnlab.models.mlp import MLP, mlp
from nnlab.models.model import Settings
from nnlab.nn.initializers import zeros
from nnlab.sweeps.axes import log_space
from nnlab.sweeps.choices import resolve
from nnlab.train.keys import Stream, root, stream
from nnlab.train.loop import order

SEED = 0


class Config(NamedTuple):
    """One run: its seed is always SEED."""

    init: str
    activation: str
    optimizer: str
    rate: float


@dataclass(frozen=True)
class Workload:
    """A grid of configs, trained for a number of epochs."""

    name: str
    title: str
    sizes: tuple[int, ...]
    """Inputs, hidden sizes and classes; with `channels`, of the layers after the convolutions."""
    batch: int
    epochs: int
    rates: tuple[float, ...]
    lanes: tuple[int, ...]
    """Lane counts a vmapped peer tries; its better one counts."""
    limit: int = 2048
    """Rows of the matrices whose product shows what the machine can do."""
    data: str = "teacher"
    examples: int = 10_000
    """Training examples of a teacher's data."""
    inits: tuple[str, ...] = ("he",)
    activations: tuple[str, ...] = ("relu",)
    optimizers: tuple[str, ...] = ("adam",)
    channels: tuple[int, ...] = ()
    """Those of a convnet's 5x5 convolutions, each followed by a 2x2 pool; empty for an MLP."""
    side: int = 0
    """Pixels along a side of a convnet's images, which have one channel."""
    held_out: int = 500
    """Validation, and test, examples of a teacher's data."""

    @property
    def model(self) -> MLP | ConvNet:
        """The network as nnlab builds it."""
        hidden = self.sizes[1:-1]
        return convnet(self.channels, hidden) if self.channels else mlp(hidden)

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of one example."""
        return (self.side, self.side, 1) if self.channels else self.sizes[:1]

    @property
    def configs(self) -> tuple[Config, ...]:
        """Row-major over init, activation, optimizer, learning rate."""
        grid = product(self.inits, self.activations, self.optimizers, self.rates)
        return tuple(Config(*row) for row in grid)

    @cached_property
    def dataset(self) -> Dataset:
        """The data as nnlab reads them."""
        if self.data == "teacher":
            return teacher(self.examples, self.held_out, self.shape, self.sizes[-1])
        return load(self.data)

    @property
    def steps(self) -> int:
        """Training steps of one config."""
        return self.epochs * (len(self.dataset.train.y) // self.batch)

    @property
    def kernels(self) -> list[tuple[int, tuple[int, ...]]]:
        """Each layer's kernel [..., inputs, outputs], and how many pixels of an image it meets."""
        if not isinstance(self.model, ConvNet):
            return [(1, kernel) for kernel in pairwise(self.sizes)]
        sides = [self.side]
        for _ in self.channels:
            sides.append(self.model.reach(sides[-1]))
        kernels = self.model.kernels(self.shape, self.sizes[-1])
        pixels = [side**2 for side in sides[:-1]] + [1] * (len(self.sizes) - 1)
        return list(zip(pixels, kernels, strict=True))

    @property
    def parameters(self) -> int:
        return sum(prod(kernel) + kernel[-1] for _, kernel in self.kernels)

    @property
    def flops(self) -> int:
        """Multiplications and additions in the matrix products of one training step.

        A kernel of n numbers that meets p pixels makes three products of 2 batch p n each: forward,
        kernel gradient, input gradient. The first layer needs no input gradient. Biases,
        activations, pools, the loss, the optimizer and the evaluation are not counted.
        """
        products = [pixels * prod(kernel) for pixels, kernel in self.kernels]
        return 2 * self.batch * (3 * sum(products) - products[0])


@dataclass(frozen=True)
class Inputs:
    """A workload as float32 numpy arrays, ready for a program that trains it."""

    train: Split
    valid: Split
    test: Split
    rows: np.ndarray
    """[epochs, steps, batch]: the training examples of each batch."""
    starts: dict[tuple[str, str], Any] = field(repr=False)
    """nnlab's initial weights by (init, activation)."""


class Losses(NamedTuple):
    """What every peer records: mean cross-entropies, as arrays with a row per config."""

    train: Any
    """[configs, epochs]: mean over an epoch's batches, each taken before its update."""
    valid: Any
    """[configs, epochs]: after each epoch."""
    test: Any
    """[configs]: after the last."""


def teacher(examples: int, held_out: int, shape: tuple[int, ...], classes: int) -> Dataset:
    """Normal inputs, labelled by the largest output of a fixed random linear map."""
    random = np.random.Generator(np.random.PCG64(SEED))
    x = random.standard_normal((examples + 2 * held_out, prod(shape)), np.float32)
    y = np.argmax(x @ random.standard_normal((prod(shape), classes), np.float32), axis=1)
    return from_arrays(
        x.reshape(-1, *shape), y, test=held_out, validation=held_out, name="teacher",
        scaling="none", classes=classes,
    )  # fmt: skip


def inputs(work: Workload, nudged: bool = False) -> Inputs:
    """The arrays of a workload, drawn as nnlab draws them.

    With `nudged`, every weight is moved to the next float32: what becomes of that in training is
    what rounding alone may do.
    """
    data = work.dataset

    def ready(split: Split) -> Split:
        x = (split.x.astype(np.float32) - data.offset) * data.scale
        return Split(x if work.channels else x.reshape(len(x), -1), split.y)

    epoch_steps = work.steps // work.epochs
    key = stream(root(SEED), Stream.ORDER)
    examples = len(data.train.y)
    epochs = jnp.arange(work.epochs)
    rows = [order(key, e, examples, epoch_steps, work.batch) for e in epochs]

    def start(init: str, activation: str) -> Any:
        choice = resolve("init", init)
        settings = Settings(
            init=choice.function(**dict(choice.static + choice.numbers)),
            bias_init=zeros(),
            activation=resolve("activation", activation).function,
        )
        key = stream(root(SEED), Stream.WEIGHTS)
        weights, _ = work.model.start(key, data.shape, data.classes, settings)
        weights = trees.map(np.asarray, weights)
        return trees.map(up, weights) if nudged else weights

    with jax.default_device(jax.local_devices(backend="cpu")[0]):
        starts = {pair: start(*pair) for pair in product(work.inits, work.activations)}
        return Inputs(
            ready(data.train), ready(data.valid), ready(data.test), np.array(rows), starts
        )


def up(w: np.ndarray) -> np.ndarray:
    """The next float32 above."""
    return np.nextafter(w, np.float32(np.inf))


def rates(low: float, high: float, count: int) -> tuple[float, ...]:
    return tuple(map(float, log_space(low, high, count)))


WORKLOADS = (
    Workload("W1", "784-100-100-10, batch 128, Adam", (784, 100, 100, 10), 128, 1,
             rates(1e-4, 1e-2, 64), lanes=(8, 32)),
    Workload("W2", "64-100-10, batch 32, Adam", (64, 100, 10), 32, 1,
             rates(1e-4, 1e-2, 256), lanes=(32, 128)),
    Workload("W3", "64-5x100-10, batch 100, Adam", (64, *[100] * 5, 10), 100, 1,
             rates(1e-4, 1e-2, 64), lanes=(16, 64)),
    Workload("W5", "2c2d: 28x28, 5x5x32, pool, 5x5x64, pool, 1024, 10, batch 128, Adam",
             (7 * 7 * 64, 1024, 10), 128, 1, rates(1e-4, 1e-3, 4), lanes=(2, 4), examples=512,
             channels=(32, 64), side=28, held_out=128),
    Workload("demo", "4 inits x 3 activations x 6 optimizers x 8 rates, 64-5x100-10, digits",
             (64, *[100] * 5, 10), 100, 4, rates(1e-4, 1.0, 8), lanes=(16, 32), data="digits",
             inits=("normal(1)", "normal(0.01)", "xavier", "he"),
             activations=("sigmoid", "tanh", "relu"),
             optimizers=("sgd", "momentum", "nesterov",
                         "adagrad(initial_accumulator=0.1, eps_in_root=true)", "rmsprop", "adam")),
)  # fmt: skip


def toy(work: Workload) -> Workload:
    """The same kind of work in a second: for tests, never for a number."""
    small = {"channels": (2, 3), "side": 6} if work.channels else {}
    return replace(
        work,
        sizes=(2 * 2 * 3 if work.channels else work.sizes[0], 8, work.sizes[-1]),
        epochs=2,
        examples=400,
        rates=work.rates[:: len(work.rates) - 1],
        lanes=(2,),
        limit=128,
        inits=work.inits[-2:],
        activations=work.activations[-1:],
        optimizers=work.optimizers[-2:],
        **small,
    )
