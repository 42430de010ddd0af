"""Initial weights that look at the data: LSUV and stacked restricted Boltzmann machines.

Both map (key, weights, inputs) to the weights of the same MLP, as pure functions. Biases start as
they came. Batch norm is left alone and looked through: z is a layer's sum x w + b whether or not a
norm follows, so that a run's start is the same beside runs that normalise and runs that do not.
The work on one layer is compiled once for its shape, whoever calls.
"""

from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp

from nnlab import trees
from nnlab.errors import UsageError
from nnlab.models.mlp import Dense, Weights
from nnlab.nn.initializers_structured import orthogonal
from nnlab.types import Activation, Array, Flag, Float, Number, PRNGKey

Batch = Float[Array, "batch ..."]
Visible = Float[Array, "batch visible"]


def lsuv(
    key: PRNGKey,
    weights: Weights,
    x: Batch,
    activation: Activation,
    tolerance: Number = 0.01,
    passes: int = 10,
) -> Weights:
    """Layer-sequential unit variance: orthonormal weights, scaled until Var z = 1 on a batch.

    Layer by layer, the output layer too: w <- w / std(z) while |Var z - 1| >= tolerance, at most
    `passes` times, with the variance over all examples of x and all units. Without biases one pass
    is exact; with them a pass leaves about Var b of the error, so their variance must be below 1.
    A layer whose z is constant keeps its orthonormal weights.
    Source: Mishkin & Matas, All you need is a good init (2016), algorithm 1.
    """
    layers, h = [], x.reshape(x.shape[0], -1)
    for i, layer in enumerate(weights.layers):
        h = activation(h) if i else h
        unit, h = _unit_layer(jax.random.fold_in(key, i), layer, h, tolerance, passes)
        layers.append(unit)
    return weights._replace(layers=tuple(layers))


@partial(jax.jit, static_argnames="passes")
def _unit_layer(
    key: PRNGKey, layer: Dense, h: Visible, tolerance: Number, passes: int
) -> tuple[Dense, Float[Array, "batch hidden"]]:
    """The layer with orthonormal weights times a scale, and its pre-activations."""
    q, b = orthogonal()(key, layer.w.shape, layer.w.dtype), layer.b
    z = h @ q

    def one_pass(_, scale: Array) -> Array:
        variance = jnp.var(scale * z + b[None, :])
        missed = (jnp.abs(variance - 1) >= tolerance) & (variance > 0)
        return jnp.where(missed, scale * jax.lax.rsqrt(variance), scale)

    scale = jax.lax.fori_loop(0, passes, one_pass, jnp.ones((), z.dtype))
    return Dense(scale * q, b), scale * z + b[None, :]


class Machine(NamedTuple):
    """A restricted Boltzmann machine: p(v, h) ~ exp(v w h + a v + b h) for binary v and h.

    Gaussian visible units have exp(-|v|^2 / 2) as a further factor, hence unit variance.
    """

    w: Float[Array, "visible hidden"]
    a: Float[Array, " visible"]
    b: Float[Array, " hidden"]


class Rates(NamedTuple):
    """How fast a machine learns; the decay pulls w alone."""

    learning_rate: Number
    momentum: Number
    weight_decay: Number


def rbm(
    key: PRNGKey,
    weights: Weights,
    x: Batch,
    epochs: int = 10,
    learning_rate: Number = 0.1,
    momentum: Number = 0.5,
    weight_decay: Number = 2e-4,
    std: Number = 0.01,
    batch_size: int = 100,
) -> Weights:
    """Greedy pre-training: each hidden layer is the restricted Boltzmann machine of those below.

    A machine starts from w ~ N(0, std^2) and learns by CD-1; its p(h = 1 | v) = sigmoid(v w + b) is
    what the next machine sees, so the weights suit sigmoid units. Inputs within [0, 1] are the
    probabilities of binary units; any others, standardised ones say, are values of Gaussian units
    of unit variance, which learn at a tenth of the rate. The output layer stays as it came.
    Sources: Hinton, Osindero & Teh (2006); Hinton, A practical guide (2010), for the defaults.
    Raises UsageError where the units of one layer are not the inputs of the next, for fewer than 0
    epochs or for batches of less than 1.
    """
    if epochs < 0 or batch_size < 1:
        raise UsageError(
            f"rbm got {epochs} epochs in batches of {batch_size}; it needs 0 or more epochs and 1 "
            "or more in a batch: try epochs=10, batch_size=100"
        )
    *hidden, last = weights.layers
    rates = Rates(learning_rate, momentum, weight_decay)
    layers, v = [], x.reshape(x.shape[0], -1)
    gaussian: Flag = ~jnp.all((v >= 0) & (v <= 1))
    for i, layer in enumerate(hidden):
        if v.shape[1] != layer.w.shape[0]:
            raise UsageError(
                f"rbm came to a layer of {layer.w.shape[0]} inputs with {v.shape[1]} units below "
                "it; it needs activations that keep their shape: try sigmoid"
            )
        start, learn = jax.random.split(jax.random.fold_in(key, i))
        w = std * jax.random.normal(start, layer.w.shape, v.dtype)
        machine = Machine(w, base_rate(v, gaussian), layer.b)
        machine = fit(learn, machine, v, gaussian, rates, epochs, batch_size)
        layers.append(Dense(machine.w, machine.b))
        v, gaussian = hidden_probability(machine, v), False
    return weights._replace(layers=(*layers, last))


def hidden_probability(machine: Machine, v: Visible) -> Float[Array, "batch hidden"]:
    """p(h = 1 | v) = sigmoid(v w + b)."""
    return jax.nn.sigmoid(v @ machine.w + machine.b[None, :])


def base_rate(v: Visible, gaussian: Flag) -> Float[Array, " visible"]:
    """The visible biases that alone explain the means m: log(p / (1 - p)), or m if Gaussian.

    p = (n m + 1/2) / (n + 1) over n examples keeps away from 0 and 1.
    Source: Hinton (2010), section 8.1.
    """
    n, m = v.shape[0], jnp.mean(v, axis=0)
    p = (n * jnp.clip(m, 0, 1) + 0.5) / (n + 1)
    return jnp.where(gaussian, m, jnp.log(p) - jnp.log1p(-p))


@partial(jax.jit, static_argnames=("epochs", "batch_size"))
def fit(
    key: PRNGKey,
    machine: Machine,
    v: Visible,
    gaussian: Flag,
    rates: Rates,
    epochs: int,
    batch_size: int,
) -> Machine:
    """The machine after `epochs` passes over v in shuffled batches, a remainder dropped.

    m <- momentum m + rate (g - weight_decay w), machine <- machine + m, with g by CD-1.
    """
    n = v.shape[0]
    size = min(batch_size, n)
    rate = rates.learning_rate * jnp.where(gaussian, 0.1, 1.0)

    def step(state, batch):
        machine, m = state
        rows, key = batch
        g = contrastive_divergence(key, machine, v[rows], gaussian)
        g = g._replace(w=g.w - rates.weight_decay * machine.w)
        m = trees.map(lambda m, g: rates.momentum * m + rate * g, m, g)
        return (trees.map(jnp.add, machine, m), m), None

    def epoch(state, key):
        order, bits = jax.random.split(key)
        rows = jax.random.permutation(order, n)[: n - n % size].reshape(-1, size)
        return jax.lax.scan(step, state, (rows, jax.random.split(bits, len(rows))))

    begin = (machine, trees.zeros_like(machine))
    (machine, _), _ = jax.lax.scan(epoch, begin, jax.random.split(key, epochs))
    return machine


def contrastive_divergence(
    key: PRNGKey, machine: Machine, v: Visible, gaussian: Flag = False
) -> Machine:
    """CD-1: the gradient of log p(v) with the model's averages taken after one reconstruction.

    p0 = sigmoid(v w + b), h ~ Bernoulli(p0), v1 = sigmoid(h w' + a) (h w' + a if Gaussian),
    p1 = sigmoid(v1 w + b); dw = v' p0 - v1' p1, da = v - v1, db = p0 - p1, means over the batch.
    Sources: Hinton (2002); (2010), section 3, for probabilities wherever sampling adds only noise.
    """
    p0 = hidden_probability(machine, v)
    h = (jax.random.uniform(key, p0.shape, p0.dtype) < p0).astype(v.dtype)
    drive = h @ machine.w.T + machine.a[None, :]
    v1 = jnp.where(gaussian, drive, jax.nn.sigmoid(drive))
    p1 = hidden_probability(machine, v1)
    dw = (v.T @ p0 - v1.T @ p1) / v.shape[0]
    return Machine(dw, jnp.mean(v - v1, axis=0), jnp.mean(p0 - p1, axis=0))


FROM_DATA = {"lsuv": lsuv, "rbm": rbm}
"""Initializers of a whole multilayer perceptron that look at the data, by name."""
