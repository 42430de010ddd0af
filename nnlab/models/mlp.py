"""The multilayer perceptron, with batch norm and dropout after every hidden layer if asked for."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod
from typing import ClassVar, NamedTuple

import jax
import jax.numpy as jnp

from nnlab.errors import UsageError
from nnlab.models.model import Settings
from nnlab.nn.layers import Running, batch_norm_eval, batch_norm_train, dense, dropout
from nnlab.types import Activation, Array, Float, PRNGKey


class Dense(NamedTuple):
    """Weights and bias of one layer."""

    w: Float[Array, "inputs outputs"]
    b: Float[Array, " outputs"]


class Norm(NamedTuple):
    """What batch normalisation learns: y = scale * x_hat + shift."""

    scale: Float[Array, " features"]
    shift: Float[Array, " features"]


class Weights(NamedTuple):
    """The parameters of an MLP; `norms` is empty without batch norm."""

    layers: tuple[Dense, ...]
    norms: tuple[Norm, ...]


@dataclass(frozen=True)
class MLP:
    """x -> [dense, batch norm, activation, dropout] per hidden size -> dense -> outputs.

    Images are flattened. Batch norm stands before the activation (Ioffe & Szegedy, 2015),
    dropout behind it. Biases start at zero unless `bias_init` says otherwise.
    """

    hidden: tuple[int, ...] = (100, 100)
    knobs: ClassVar[frozenset[str]] = frozenset(
        {"init", "bias_init", "activation", "dropout", "batch_norm"}
    )

    def __post_init__(self) -> None:
        if not all(isinstance(n, int) and n > 0 for n in self.hidden):
            raise UsageError(
                f"hidden needs sizes of 1 or more, got {list(self.hidden)}; try [100, 100]"
            )

    def start(
        self, key: PRNGKey, shape: tuple[int, ...], outputs: int, settings: Settings
    ) -> tuple[Weights, tuple[Running, ...]]:
        """Initial weights and running statistics; layer i draws from fold_in(key, i)."""
        pieces = inputs_per_output(settings.activation)
        inputs = (prod(shape), *self.hidden)
        wide = (*(pieces * n for n in self.hidden), outputs)

        def layer(i: int) -> Dense:
            w, b = jax.random.split(jax.random.fold_in(key, i))
            return Dense(
                settings.init(w, (inputs[i], wide[i]), jnp.float32),
                settings.bias_init(b, (wide[i],), jnp.float32),
            )

        layers = tuple(layer(i) for i in range(len(wide)))
        if settings.batch_norm is None:
            return Weights(layers, ()), ()
        norms = tuple(Norm(jnp.ones(n), jnp.zeros(n)) for n in wide[:-1])
        running = tuple(Running(jnp.zeros(n), jnp.ones(n)) for n in wide[:-1])
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
        x = x.reshape(x.shape[0], -1)
        kept = []
        for i, layer in enumerate(hidden):
            x = dense(x, layer.w, layer.b)
            if settings.batch_norm is not None:
                x, running = normalise(x, params.norms[i], stats[i], settings.batch_norm, key)
                kept.append(running)
            x = settings.activation(x)
            if settings.dropout is not None and key is not None:
                x = dropout(jax.random.fold_in(key, i), x, settings.dropout)
        return dense(x, last.w, last.b), tuple(kept)


def normalise(x: Array, norm: Norm, running: Running, on: Array, key: PRNGKey | None):
    """Batch norm where `on` is true, x itself where it is not."""
    if key is None:
        y = batch_norm_eval(x, norm.scale, norm.shift, running)
    else:
        y, running = batch_norm_train(x, norm.scale, norm.shift, running)
    return jnp.where(on, y, x), running


def inputs_per_output(activation: Activation) -> int:
    """How many pre-activations one unit of a layer needs: 1, or maxout's number of pieces."""
    wide = 5040  # divisible by every number up to 10
    return wide // jax.eval_shape(activation, jax.ShapeDtypeStruct((wide,), jnp.float32)).shape[-1]


def mlp(hidden: Sequence[int] = (100, 100)) -> MLP:
    """An MLP with these hidden sizes; an empty list is a linear model."""
    return MLP(tuple(hidden))


