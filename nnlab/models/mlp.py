"""The multilayer perceptron, with batch norm and dropout after every hidden layer if asked for."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod
from typing import Any, NamedTuple

from nnlab.models.hidden import Norm, check_sizes, draw, finish, inputs_per_output, start_norms
from nnlab.models.model import Settings
from nnlab.nn.layers import Running, dense
from nnlab.nn.products import product
from nnlab.types import Array, Float, PRNGKey


class Dense(NamedTuple):
    """Weights and bias of one layer."""

    w: Float[Array, "inputs outputs"]
    b: Float[Array, " outputs"]


class Weights(NamedTuple):
    """The parameters of an MLP; `norms` is empty without batch norm."""

    layers: tuple[Dense, ...]
    norms: tuple[Norm, ...]


@dataclass(frozen=True)
class MLP:
    """x -> [dense, batch norm, activation, dropout] per hidden size -> dense -> outputs.

    Images are flattened. Biases start at zero unless `bias_init` says otherwise.
    """

    hidden: tuple[int, ...] = (100, 100)

    def __post_init__(self) -> None:
        check_sizes("hidden", self.hidden, "[100, 100]")

    @property
    def knobs(self) -> frozenset[str]:
        """Without hidden layers there is nothing to activate, drop or normalise."""
        inside = {"activation", "dropout", "batch_norm"} if self.hidden else set()
        return frozenset({"init", "bias_init"} | inside)

    def start(
        self, key: PRNGKey, shape: tuple[int, ...], outputs: int, settings: Settings
    ) -> tuple[Weights, tuple[Running, ...]]:
        """Initial weights and running statistics; layer i draws from fold_in(key, i)."""
        pieces = inputs_per_output(settings.activation)
        inputs = (prod(shape), *self.hidden)
        wide = (*(pieces * n for n in self.hidden), outputs)
        kernels = enumerate(zip(inputs, wide, strict=True))
        layers = tuple(Dense(*draw(key, i, kernel, settings)) for i, kernel in kernels)
        norms, running = start_norms(wide[:-1], settings)
        return Weights(layers, norms), running

    def apply(
        self,
        params: Weights,
        stats: tuple[Running, ...],
        x: Float[Array, "batch ..."],
        settings: Settings,
        key: PRNGKey | None,
    ) -> tuple[Float[Array, "batch outputs"], tuple[Running, ...]]:
        """Outputs and new running statistics; with key None, evaluation mode."""
        *hidden, last = params.layers
        x, kept = x.reshape(x.shape[0], -1), ()
        for i, (w, b) in enumerate(hidden):
            x, running = finish(i, product(x, w), b, params.norms, stats, settings, key)
            kept += running
        return dense(x, last.w, last.b), kept


def mlp(hidden: Sequence[int] = (100, 100)) -> MLP:
    """An MLP with these hidden sizes; an empty list is a linear model."""
    sizes: Any = hidden  # anything may come; MLP says what it needs
    return MLP(tuple(sizes) if isinstance(sizes, list) else sizes)
