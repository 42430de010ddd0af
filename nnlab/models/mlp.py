"""The multilayer perceptron, with batch norm and dropout after every hidden layer if asked for."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod
from typing import Any, NamedTuple

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
    dropout behind it. Under batch norm the norm's shift takes the place of the layer's bias, whose
    gradient would be rounding noise. Biases start at zero unless `bias_init` says otherwise.
    """

    hidden: tuple[int, ...] = (100, 100)

    def __post_init__(self) -> None:
        sizes = self.hidden
        if not isinstance(sizes, tuple) or not all(type(n) is int and n > 0 for n in sizes):
            raise UsageError(
                f"hidden needs a list of sizes of 1 or more, got {sizes!r}; try [100, 100]"
            )

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
            if settings.batch_norm is None:
                x = dense(x, layer.w, layer.b)
            else:
                z = x @ layer.w
                y, running = normalise(z, params.norms[i], stats[i], training=key is not None)
                x = jnp.where(settings.batch_norm, y, z + layer.b[None, :])
                kept.append(running)
            x = settings.activation(x)
            if settings.dropout is not None and key is not None:
                x = dropout(jax.random.fold_in(key, i), x, settings.dropout)
        return dense(x, last.w, last.b), tuple(kept)


def normalise(z: Array, norm: Norm, running: Running, training: bool) -> tuple[Array, Running]:
    """Batch norm by the batch's statistics in training, by the running ones in evaluation."""
    if training:
        return batch_norm_train(z, norm.scale, norm.shift, running)
    return batch_norm_eval(z, norm.scale, norm.shift, running), running


def inputs_per_output(activation: Activation) -> int:
    """How many pre-activations one unit of a layer needs: 1, or maxout's number of pieces."""

    def outputs(inputs: int) -> tuple[int, ...]:
        return jax.eval_shape(activation, jax.ShapeDtypeStruct((inputs,), jnp.float32)).shape

    wide = 720_720  # divisible by every number up to 16
    for pieces in range(1, 17):
        if outputs(wide) == (wide // pieces,) and outputs(2 * wide) == (2 * wide // pieces,):
            return pieces
    name = getattr(getattr(activation, "func", activation), "__name__", type(activation).__name__)
    raise UsageError(
        f"activation {name} maps shape ({wide},) to {outputs(wide)}; it needs to keep the shape of "
        "its input, or to return one output for every 2 to 16 inputs"
    )


def mlp(hidden: Sequence[int] = (100, 100)) -> MLP:
    """An MLP with these hidden sizes; an empty list is a linear model."""
    sizes: Any = hidden  # anything may come; MLP says what it needs
    return MLP(tuple(sizes) if isinstance(sizes, list) else sizes)
