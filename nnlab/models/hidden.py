"""What hidden layers share: how they are drawn, and what follows their sums z.

z is [batch, features], or images [batch, height, width, features], whose every pixel is an example
of its features.
"""

import inspect
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from nnlab.errors import UsageError, name_of
from nnlab.models.model import Settings
from nnlab.nn.layers import Running, batch_norm_eval, batch_norm_train, dropout, running_init
from nnlab.types import Activation, Array, Float, PRNGKey


class Norm(NamedTuple):
    """What batch normalisation learns: y = scale * x_hat + shift."""

    scale: Float[Array, " features"]
    shift: Float[Array, " features"]


def check_sizes(name: str, sizes: Any, example: str, least: int = 0) -> None:
    """Raise UsageError unless sizes is a tuple of `least` or more whole numbers above 0."""
    numbers = isinstance(sizes, tuple) and all(type(n) is int and n > 0 for n in sizes)
    if not numbers or len(sizes) < least:
        raise UsageError(f"{name} needs a list of sizes of 1 or more, got {sizes!r}; try {example}")


def draw(
    key: PRNGKey, i: int, kernel: tuple[int, ...], settings: Settings
) -> tuple[Float[Array, "..."], Float[Array, " outputs"]]:
    """The initial kernel and bias of layer i; a kernel's last axis counts outputs."""
    w, b = jax.random.split(jax.random.fold_in(key, i))
    return (
        settings.init(w, kernel, jnp.float32),
        settings.bias_init(b, kernel[-1:], jnp.float32),
    )


def start_norms(
    sizes: Sequence[int], settings: Settings
) -> tuple[tuple[Norm, ...], tuple[Running, ...]]:
    """What batch norm of hidden layers learns and remembers: nothing where it is left out."""
    if settings.batch_norm is None:
        return (), ()
    norms = tuple(Norm(jnp.ones(n, jnp.float32), jnp.zeros(n, jnp.float32)) for n in sizes)
    return norms, tuple(running_init(n) for n in sizes)


def finish(
    i: int,
    z: Array,
    bias: Float[Array, " features"],
    norms: tuple[Norm, ...],
    stats: tuple[Running, ...],
    settings: Settings,
    key: PRNGKey | None,
    pool: Callable[[Array], Array] | None = None,
) -> tuple[Array, tuple[Running, ...]]:
    """Bias or batch norm, activation, pooling, dropout: hidden layer i's outputs, new statistics.

    Batch norm stands before the activation (Ioffe & Szegedy, 2015), dropout behind everything.
    The norm's shift takes the place of the bias, whose gradient would be rounding noise.
    """
    x, moved = z + for_each(bias, z), ()
    if settings.batch_norm is not None:
        y, running = normalise(z, norms[i], stats[i], training=key is not None)
        moved = (running,)
        x = y if settings.batch_norm is True else jnp.where(settings.batch_norm, y, x)
    x = activate(i, x, settings.activation, key)
    x = x if pool is None else pool(x)
    if settings.dropout is not None and key is not None:
        x = dropout(jax.random.fold_in(key, i), x, settings.dropout)
    return x, moved


def activate(i: int, x: Array, activation: Activation, key: PRNGKey | None) -> Array:
    """The activation of layer i; one that is random gets a key of its own in training."""
    if key is None or not is_random(activation):
        return activation(x)
    return activation(x, key=jax.random.fold_in(jax.random.fold_in(key, i), 1))  # type: ignore[call-arg]


def is_random(activation: Callable[..., Any]) -> bool:
    """Whether an activation takes a key."""
    try:
        return "key" in inspect.signature(activation).parameters
    except (TypeError, ValueError):  # a built-in function that does not tell
        return False


def for_each(bias: Float[Array, " features"], z: Array) -> Float[Array, "1 *pixels features"]:
    """A bias for every pixel of an image, or of what has none.

    Its gradient is a sum over the batch, and then one over pixels. As one sum it takes XLA three
    times as long on a CPU, hence the barrier, without which XLA makes it one.
    """
    pixels = jnp.broadcast_to(bias, z.shape[1:])
    return (pixels if z.ndim == 2 else jax.lax.optimization_barrier(pixels))[None]


def normalise(z: Array, norm: Norm, running: Running, training: bool) -> tuple[Array, Running]:
    """Batch norm by the batch's statistics in training, by the running ones in evaluation."""
    x = z.reshape(-1, z.shape[-1])
    if training:
        y, running = batch_norm_train(x, norm.scale, norm.shift, running)
    else:
        y = batch_norm_eval(x, norm.scale, norm.shift, running)
    return y.reshape(z.shape), running


def inputs_per_output(activation: Activation) -> int:
    """How many pre-activations one unit of a layer needs: 1, or maxout's number of pieces."""

    def outputs(inputs: int) -> tuple[int, ...]:
        return jax.eval_shape(activation, jax.ShapeDtypeStruct((inputs,), jnp.float32)).shape

    wide = 720_720  # divisible by every number up to 16
    for pieces in range(1, 17):
        if outputs(wide) == (wide // pieces,) and outputs(2 * wide) == (2 * wide // pieces,):
            return pieces
    raise UsageError(
        f"activation {name_of(activation)} maps shape ({wide},) to {outputs(wide)}; it needs to "
        "keep the shape of its input, or to return one output for every 2 to 16 inputs"
    )
