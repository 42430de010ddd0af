"""What the peers train: the same data, batches, initial weights and configs for everybody.

A workload is a grid of configs over one network; `benchmarks.inputs` makes its arrays.
"""

from dataclasses import dataclass, replace
from functools import cached_property
from itertools import pairwise, product
from math import prod
from typing import Any, NamedTuple

import numpy as np

from nnlab.data.arrays import from_arrays
from nnlab.data.dataset import Dataset
from nnlab.data.load import load
from nnlab.models.convnet import ConvNet, convnet
from nnlab.models.mlp import MLP, mlp
from nnlab.sweeps.axes import log_space

SEED = 0


class Config(NamedTuple):
    """One run."""

    init: str
    activation: str
    optimizer: str
    rate: float
    seed: int


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
    alone: int = 4
    """Configs that are trained by the peers that train one run at a time."""
    limit: int = 2048
    """Rows of the matrices whose product shows what the machine can do."""
    data: str = "teacher"
    examples: int = 10_000
    """Training examples of a teacher's data."""
    inits: tuple[str, ...] = ("he",)
    activations: tuple[str, ...] = ("relu",)
    optimizers: tuple[str, ...] = ("adam",)
    seeds: tuple[int, ...] = (SEED,)
    """Each has its own weights, data order and noise."""
    batch_norm: bool = False
    """Whether every hidden layer of an MLP is normalised before its activation."""
    dropout: float = 0.0
    """Probability of dropping a unit of an MLP's hidden layers."""
    channels: tuple[int, ...] = ()
    """Those of a convnet's 5x5 convolutions, each followed by a 2x2 pool; empty for an MLP."""
    side: int = 0
    """Pixels along a side of a convnet's images, which have one channel."""
    held_out: int = 500
    """Validation, and test, examples of a teacher's data."""
    peers: tuple[str, ...] = ()
    """Who trains it; empty: everybody who can."""

    def __post_init__(self) -> None:
        if self.channels and (self.batch_norm or self.dropout):
            raise ValueError("the peers' convnets have neither batch norm nor dropout")

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
        """Row-major over init, activation, optimizer, learning rate, seed."""
        grid = product(self.inits, self.activations, self.optimizers, self.rates, self.seeds)
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
    def hidden(self) -> int:
        """Numbers that the hidden layers hand on for one example."""
        return sum(pixels * kernel[-1] for pixels, kernel in self.kernels[:-1])

    @property
    def parameters(self) -> int:
        """Kernels, and a bias for each output; batch norm has a scale and a shift in its place."""
        norms = sum(self.sizes[1:-1]) if self.batch_norm else 0
        return sum(prod(kernel) + kernel[-1] for _, kernel in self.kernels) + norms

    @property
    def flops(self) -> int:
        """Multiplications and additions in the matrix products of one training step.

        A kernel of n numbers that meets p pixels makes three products of 2 batch p n each: forward,
        kernel gradient, input gradient. The first layer needs no input gradient. Biases,
        activations, pools, the loss, the optimizer and the evaluation are not counted.
        """
        products = [pixels * prod(kernel) for pixels, kernel in self.kernels]
        return 2 * self.batch * (3 * sum(products) - products[0])

    @property
    def usual_flops(self) -> int:
        """Six operations for every example and parameter that it meets: the usual count of a step.

        It lets the first layer have an input gradient, and a bias cost what a weight costs.
        """
        met = sum(pixels * (prod(kernel) + kernel[-1]) for pixels, kernel in self.kernels)
        return 6 * self.batch * met

    @property
    def bytes(self) -> int:
        """What one training step would move if nothing stayed in a cache.

        Ten passes over the parameters: forward and input gradient read them, the kernel gradient is
        written, Adam reads weights, gradient and two moments and writes weights and moments. Six
        over what the hidden layers hand on: outputs are written once and read by the next layer and
        its kernel gradient, and so are their gradients, read by the layer's two products.
        """
        return 4 * (10 * self.parameters + 6 * self.batch * self.hidden)


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


def rates(low: float, high: float, count: int) -> tuple[float, ...]:
    return tuple(map(float, log_space(low, high, count)))


TWELVE = (
    "sgd", "momentum", "nesterov", "adagrad(initial_accumulator=0.1, eps_in_root=true)", "rmsprop",
    "adam", "nadam", "amsgrad", "adabelief", "radam", "adamax", "adamw",
)  # fmt: skip
"""Optimizers of which optax has the same formulas with the same defaults."""
DEEP = (64, *[100] * 5, 10)

WORKLOADS = (
    Workload("W1", "784-100-100-10, batch 128, Adam", (784, 100, 100, 10), 128, 1,
             rates(1e-4, 1e-2, 64), lanes=(8, 32)),
    Workload("W2", "64-100-10, batch 32, Adam", (64, 100, 10), 32, 1,
             rates(1e-4, 1e-2, 256), lanes=(32, 128), examples=5000, held_out=250),
    Workload("W3", "64-5x100-10, batch 100, Adam", DEEP, 100, 1,
             rates(1e-4, 1e-2, 64), lanes=(16, 64)),
    Workload("W4", "W3's net, 12 optimizers x 6 activations x 4 rates", DEEP, 100, 1,
             rates(1e-4, 1e-3, 4), lanes=(8, 24), alone=8, examples=5000, held_out=250,
             activations=("relu", "tanh", "sigmoid", "elu", "silu", "gelu_tanh"),
             optimizers=TWELVE),
    Workload("W5", "2c2d: 28x28, 5x5x32, pool, 5x5x64, pool, 1024, 10, batch 128, Adam",
             (7 * 7 * 64, 1024, 10), 128, 1, rates(1e-4, 1e-3, 4), lanes=(4,), alone=1,
             examples=768, channels=(32, 64), side=28, held_out=32),
    Workload("W6", "W3's net with batch norm and dropout .2 after each hidden layer", DEEP, 100, 1,
             rates(1e-4, 1e-2, 64), lanes=(16, 64), examples=5000, held_out=250,
             batch_norm=True, dropout=0.2),
    Workload("W7", "W3's net, one config x 64 seeds", DEEP, 100, 1,
             (1e-3,), lanes=(16, 64), examples=5000, held_out=250, seeds=tuple(range(64))),
    Workload("W8", "W2's net, 4,096 learning rates", (64, 100, 10), 32, 1,
             rates(1e-4, 1e-2, 4096), lanes=(128,), examples=1280, held_out=64,
             peers=("nnlab", "flax+optax vmap")),
    Workload("demo", "4 inits x 3 activations x 6 optimizers x 8 rates, 64-5x100-10, digits",
             DEEP, 100, 2, rates(1e-4, 1.0, 8), lanes=(16,), data="digits",
             inits=("normal(1)", "normal(0.01)", "xavier", "he"),
             activations=("sigmoid", "tanh", "relu"), optimizers=TWELVE[:6],
             peers=("nnlab", "flax+optax vmap")),
)  # fmt: skip


def toy(work: Workload) -> Workload:
    """The same kind of work in a second: for tests, never for a number."""
    small = {"channels": (3,), "side": 4} if work.channels else {}
    return replace(
        work,
        sizes=(2 * 2 * 3 if work.channels else work.sizes[0], 8, work.sizes[-1]),
        batch=min(work.batch, 50),
        epochs=2,
        examples=400,
        held_out=50,
        rates=tuple(dict.fromkeys([work.rates[0], work.rates[-1]])),
        lanes=(2,),
        limit=128,
        inits=work.inits[-2:],
        activations=work.activations[-1:],
        optimizers=work.optimizers[-2:],
        seeds=work.seeds[:2],
        **small,
    )
