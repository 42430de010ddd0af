"""What the flax+optax peers share: the model, the optimizers and one run's training."""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax

from benchmarks.inputs import Inputs
from benchmarks.peers import homogeneous
from benchmarks.workloads import Config, Losses, Workload
from nnlab.nn.layers import dropout
from nnlab.train.keys import Stream, root, stream

OPTIMIZERS: dict[str, Callable[..., optax.GradientTransformation]] = {
    "sgd": optax.sgd,
    "momentum": partial(optax.sgd, momentum=0.9),
    "nesterov": partial(optax.sgd, momentum=0.9, nesterov=True),
    "adagrad(initial_accumulator=0.1, eps_in_root=true)": optax.adagrad,
    "rmsprop": partial(optax.rmsprop, decay=0.9, eps=1e-8, eps_in_sqrt=False),
    "adam": optax.adam,
    "adamw": optax.adamw,
    "nadam": optax.nadam,
    "adamax": optax.adamax,
    "amsgrad": optax.amsgrad,
    "adabelief": optax.adabelief,
    "radam": optax.radam,
}
ACTIVATIONS = {
    "relu": nn.relu, "sigmoid": nn.sigmoid, "tanh": nn.tanh, "elu": nn.elu, "silu": nn.silu,
    "gelu_tanh": nn.gelu,
}  # fmt: skip
Activation = Callable[[jax.Array], jax.Array]


class Network(nn.Module):
    """5x5 convolutions with 2x2 pools, if any, then dense layers; an activation between them.

    Dropout is nnlab's own function of nnlab's own keys (flax's would draw other masks), so that
    every jax program trains the same run; with key None the network evaluates.
    """

    channels: tuple[int, ...]
    sizes: tuple[int, ...]
    activation: Activation
    batch_norm: bool
    dropout: float

    @nn.compact
    def __call__(self, x: jax.Array, key: Any) -> jax.Array:
        for features in self.channels:
            x = self.activation(nn.Conv(features, (5, 5))(x))
            x = nn.max_pool(x, (2, 2), (2, 2), "SAME")
        x = x.reshape(x.shape[0], -1)
        for i, size in enumerate(self.sizes[:-1]):
            x = nn.Dense(size, use_bias=not self.batch_norm)(x)
            if self.batch_norm:
                x = nn.BatchNorm(use_running_average=key is None, momentum=0.9)(x)
            x = self.activation(x)
            if self.dropout and key is not None:
                x = dropout(jax.random.fold_in(key, i), x, self.dropout)
        return nn.Dense(self.sizes[-1])(x)


class Run(NamedTuple):
    """What differs between runs; several, stacked, are leaves [lanes, ...]."""

    params: Any
    stats: Any
    """Batch norm's running means and variances."""
    rate: Any
    seed: "Seed"


class Seed(NamedTuple):
    """What a seed decides beside the weights; lanes of one seed share it."""

    rows: Any
    """[epochs, steps, batch]"""
    noise: Any
    """The key of the dropout masks."""


def network(work: Workload, activation: Activation) -> Network:
    return Network(work.channels, work.sizes[1:], activation, work.batch_norm, work.dropout)


def model_of(work: Workload, config: Config) -> Network:
    return network(work, ACTIVATIONS[config.activation])


def one_run(inputs: Inputs, config: Config) -> Run:
    """The shared initial weights under flax's names, and the config's other arrays."""
    weights = inputs.start(config)
    convs, norms = inputs.convs(config), inputs.norms(config)
    layers = {"Conv": convs, "Dense": weights.layers}
    params: dict[str, Any] = {
        f"{kind}_{i}": {"kernel": w, "bias": b}
        for kind, members in layers.items()
        for i, (w, b) in enumerate(members)
    }
    stats = {}
    for i, (scale, shift) in enumerate(norms):
        del params[f"Dense_{i}"]["bias"]
        params[f"BatchNorm_{i}"] = {"scale": scale, "bias": shift}
        stats[f"BatchNorm_{i}"] = {"mean": np.zeros_like(shift), "var": np.ones_like(scale)}
    noise = stream(root(config.seed), Stream.NOISE)
    seed = Seed(inputs.rows[config.seed], noise)
    return Run(params, {"batch_stats": stats} if stats else {}, np.float32(config.rate), seed)


def stacked(work: Workload, inputs: Inputs, members: list[int]) -> Run:
    """Several runs, leaves [lanes, ...]; of one seed, what it decides is not repeated."""
    runs = [one_run(inputs, work.configs[i]) for i in members]
    if len(work.seeds) == 1:
        runs = [run._replace(seed=None) for run in runs]
    together = jax.tree.map(lambda *leaves: stack(leaves), *runs)
    one = one_run(inputs, work.configs[members[0]]).seed
    return together if len(work.seeds) > 1 else together._replace(seed=one)


def stack(leaves: Any) -> Any:
    """Along a new leading axis: keys as keys, everything else as numpy arrays."""
    return jnp.stack(leaves) if isinstance(leaves[0], jax.Array) else np.stack(leaves)


def lanes_of(work: Workload) -> Run:
    """The in_axes of a stacked `Run`."""
    return Run(0, 0, 0, Seed(0, 0) if len(work.seeds) > 1 else Seed(None, None))


def cross_entropy(
    model: Network, params: Any, stats: Any, x: jax.Array, y: jax.Array, key: Any = None
) -> tuple[jax.Array, Any]:
    """Mean loss of a batch and the new running statistics; with key None, in evaluation."""
    found: Any = model.apply({"params": params, **stats}, x, key, mutable=list(stats))
    logits, stats = found
    return jnp.mean(optax.softmax_cross_entropy_with_integer_labels(logits, y)), stats


def train(model: Network, optimizer: Callable[..., Any], run: Run, data: Any) -> Losses:
    """One run: scan over epochs and steps; `data` is (train, valid, test)."""
    train, valid, test = data
    rule = optimizer(run.rate)
    epochs, steps, _ = run.seed.rows.shape

    def step(carry, now):
        params, stats, state = carry
        t, rows = now
        key = jax.random.fold_in(run.seed.noise, t)
        (loss, stats), gradients = jax.value_and_grad(partial(cross_entropy, model), has_aux=True)(
            params, stats, train.x[rows], train.y[rows], key
        )
        updates, state = rule.update(gradients, state, params)
        return (optax.apply_updates(params, updates), stats, state), loss

    def evaluate(carry, split):
        return cross_entropy(model, carry[0], carry[1], *split)[0]

    def epoch(carry, now):
        carry, losses = jax.lax.scan(step, carry, now)
        return carry, (jnp.mean(losses), evaluate(carry, valid))

    moments = jnp.arange(epochs * steps).reshape(epochs, steps)
    carry = run.params, run.stats, rule.init(run.params)
    carry, (losses, held_out) = jax.lax.scan(epoch, carry, (moments, run.seed.rows))
    return Losses(losses, held_out, evaluate(carry, test))


def for_one_kind(work: Workload) -> tuple[None, ...]:
    """The variants of a peer that trains one run at a time: it leaves out workloads that mix."""
    return (None,) if len(homogeneous(work)) == 1 else ()


def on_device(inputs: Inputs) -> Any:
    """The data where the program reads them."""
    return jax.device_put((inputs.train, inputs.valid, inputs.test))


def describe_device() -> str:
    device = jax.devices()[0]
    return f"1 x {device.device_kind} ({device.platform})"
