"""Convolutional networks: layers that see neighbouring pixels, then an MLP."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

from nnlab.errors import UsageError, unknown
from nnlab.models.hidden import Norm, check_sizes, draw, finish, inputs_per_output, start_norms
from nnlab.models.mlp import Dense
from nnlab.models.model import Settings
from nnlab.nn.convolution import conv2d, windows
from nnlab.nn.layers import Running, dense
from nnlab.nn.pooling import max_pool2d, mean_pool2d
from nnlab.nn.products import product
from nnlab.types import Array, Float, PRNGKey

POOLS = {"max": max_pool2d, "mean": mean_pool2d, "none": None}


class Conv(NamedTuple):
    """Kernel and bias of one convolution."""

    w: Float[Array, "rows columns channels features"]
    b: Float[Array, " features"]


class Weights(NamedTuple):
    """The parameters of a convnet; `norms` are those of all hidden layers, convolutions first."""

    convs: tuple[Conv, ...]
    layers: tuple[Dense, ...]
    norms: tuple[Norm, ...]


@dataclass(frozen=True)
class ConvNet:
    """x -> [conv, batch norm, activation, pool, dropout] per entry of `channels`
    -> [dense, batch norm, activation, dropout] per entry of `hidden` -> dense -> outputs.

    Kernels are `kernel` x `kernel` pixels in steps of `stride`; pools are `pool_size` x `pool_size`
    and touch. The defaults are DeepOBS's 2c2d, whose weights start from truncated_normal(0.05) and
    its biases from constant(0.05).  Source: Schneider, Balles & Hennig (2019), appendix A.
    """

    channels: tuple[int, ...] = (32, 64)
    hidden: tuple[int, ...] = (1024,)
    kernel: int = 5
    stride: int = 1
    pool: str = "max"
    pool_size: int = 2
    padding: str = "SAME"

    def __post_init__(self) -> None:
        check_sizes("channels", self.channels, "[32, 64], or an mlp for none", least=1)
        check_sizes("hidden", self.hidden, "[1024], or [] for none")
        for name in ("kernel", "stride", "pool_size"):
            check_size(name, getattr(self, name))
        if self.pool not in POOLS:
            raise unknown("pool", self.pool, POOLS)
        if self.padding not in ("SAME", "VALID"):
            raise unknown("padding", self.padding, ("SAME", "VALID"))

    @property
    def knobs(self) -> frozenset[str]:
        return frozenset({"init", "bias_init", "activation", "dropout", "batch_norm"})

    def start(
        self, key: PRNGKey, shape: tuple[int, ...], outputs: int, settings: Settings
    ) -> tuple[Weights, tuple[Running, ...]]:
        """Initial weights and running statistics; layer i draws from fold_in(key, i).

        Raises UsageError for examples that are no images, or images too small for the layers.
        """
        pieces = inputs_per_output(settings.activation)
        kernels = self.kernels(shape, outputs, pieces)
        drawn = [draw(key, i, kernel, settings) for i, kernel in enumerate(kernels)]
        norms, running = start_norms([kernel[-1] for kernel in kernels[:-1]], settings)
        convs, layers = drawn[: len(self.channels)], drawn[len(self.channels) :]
        params = Weights(tuple(Conv(*c) for c in convs), tuple(Dense(*d) for d in layers), norms)
        return params, running

    def kernels(
        self, shape: tuple[int, ...], outputs: int, pieces: int = 1
    ) -> list[tuple[int, ...]]:
        """The shape of each layer's kernel for images [height, width, channels]."""
        if len(shape) != 3:
            raise UsageError(
                f"a convnet needs images [height, width, channels], got examples of shape {shape}; "
                "reshape them, or try an mlp"
            )
        height, width, inputs = shape
        kernels: list[tuple[int, ...]] = []
        for features in self.channels:
            kernels.append((self.kernel, self.kernel, inputs, pieces * features))
            height, width, inputs = self.reach(height), self.reach(width), features
        flat = (height * width * inputs, *self.hidden)
        return kernels + list(zip(flat, (*(pieces * n for n in self.hidden), outputs), strict=True))

    def reach(self, pixels: int) -> int:
        """The pixels of an axis that one convolution and its pool leave of it."""
        pixels = windows(pixels, self.kernel, self.stride, self.padding).number
        if POOLS[self.pool] is None:
            return pixels
        return windows(pixels, self.pool_size, self.pool_size, self.padding).number

    def apply(
        self,
        params: Weights,
        stats: tuple[Running, ...],
        x: Float[Array, "batch height width channels"],
        settings: Settings,
        key: PRNGKey | None,
    ) -> tuple[Float[Array, "batch outputs"], tuple[Running, ...]]:
        """Outputs and new running statistics; with key None, evaluation mode."""
        follow = partial(finish, norms=params.norms, stats=stats, settings=settings, key=key)
        pool = POOLS[self.pool]
        pool = pool and partial(pool, size=self.pool_size, padding=self.padding)
        kept = ()
        for i, (w, b) in enumerate(params.convs):
            z = conv2d(x, w, stride=self.stride, padding=self.padding)
            x, running = follow(i, z, b, pool=pool)
            kept += running
        x = x.reshape(x.shape[0], -1)
        *hidden, last = params.layers
        for i, (w, b) in enumerate(hidden, start=len(params.convs)):
            x, running = follow(i, product(x, w), b)
            kept += running
        return dense(x, last.w, last.b), kept


def check_size(name: str, size: Any) -> None:
    """Raise UsageError unless size is a whole number above 0."""
    if type(size) is not int or size < 1:
        raise UsageError(f"{name} needs a whole number of 1 or more, got {size!r}; try 2")


def convnet(
    channels: Sequence[int] = (32, 64), hidden: Sequence[int] = (1024,), **fields: Any
) -> ConvNet:
    """A ConvNet with these channels, hidden sizes and other fields; by itself DeepOBS's 2c2d."""
    sizes: Any = (channels, hidden)  # anything may come; ConvNet says what it needs
    maps, units = (tuple(s) if isinstance(s, list) else s for s in sizes)
    return ConvNet(maps, units, **fields)
