"""What the flax+optax peers share: the model, the optimizers and one run's training."""

from collections.abc import Callable
from functools import partial
from itertools import groupby
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax

from benchmarks.workloads import Config, Inputs, Losses, Workload

OPTIMIZERS: dict[str, Callable[..., optax.GradientTransformation]] = {
    "sgd": optax.sgd,
    "momentum": partial(optax.sgd, momentum=0.9),
    "nesterov": partial(optax.sgd, momentum=0.9, nesterov=True),
    "adagrad(initial_accumulator=0.1, eps_in_root=true)": optax.adagrad,
    "rmsprop": partial(optax.rmsprop, decay=0.9, eps=1e-8, eps_in_sqrt=False),
    "adam": optax.adam,
}
ACTIVATIONS = {"relu": nn.relu, "sigmoid": nn.sigmoid, "tanh": nn.tanh}


class Network(nn.Module):
    """5x5 convolutions with 2x2 pools, if any, then dense layers; an activation between them."""

    channels: tuple[int, ...]
    sizes: tuple[int, ...]
    activation: Callable[[jax.Array], jax.Array]

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        for features in self.channels:
            x = self.activation(nn.Conv(features, (5, 5))(x))
            x = nn.max_pool(x, (2, 2), (2, 2), "SAME")
        x = x.reshape(x.shape[0], -1)
        for size in self.sizes[:-1]:
            x = self.activation(nn.Dense(size)(x))
        return nn.Dense(self.sizes[-1])(x)


def model_of(work: Workload, config: Config) -> Network:
    return Network(work.channels, work.sizes[1:], ACTIVATIONS[config.activation])


def variables(inputs: Inputs, config: Config) -> dict[str, Any]:
    """The shared initial weights under flax's names."""
    weights = inputs.starts[config.init, config.activation]
    layers = {"Conv": getattr(weights, "convs", ()), "Dense": weights.layers}
    return {
        "params": {
            f"{kind}_{i}": {"kernel": w, "bias": b}
            for kind, members in layers.items()
            for i, (w, b) in enumerate(members)
        }
    }


def stacked(inputs: Inputs, configs: list[Config]) -> tuple[Any, np.ndarray]:
    """Weights and learning rates of several configs, leaves [lanes, ...]."""
    weights = [variables(inputs, config) for config in configs]
    rates = np.array([config.rate for config in configs], np.float32)
    return jax.tree.map(lambda *leaves: np.stack(leaves), *weights), rates


def cross_entropy(model: Network, params: Any, x: jax.Array, y: jax.Array) -> jax.Array:
    logits: Any = model.apply(params, x)
    return jnp.mean(optax.softmax_cross_entropy_with_integer_labels(logits, y))


def train(
    model: Network, optimizer: Callable[..., Any], params: Any, rate: Any, data: Any
) -> Losses:
    """One run: scan over epochs and steps; `data` is (train, valid, test, rows)."""
    train, valid, test, rows = data
    rule = optimizer(rate)

    def step(carry, rows):
        params, state = carry
        loss, gradients = jax.value_and_grad(partial(cross_entropy, model))(
            params, train.x[rows], train.y[rows]
        )
        updates, state = rule.update(gradients, state, params)
        return (optax.apply_updates(params, updates), state), loss

    def epoch(carry, rows):
        carry, losses = jax.lax.scan(step, carry, rows)
        return carry, (jnp.mean(losses), cross_entropy(model, carry[0], *valid))

    carry, (losses, held_out) = jax.lax.scan(epoch, (params, rule.init(params)), rows)
    return Losses(losses, held_out, cross_entropy(model, carry[0], *test))


def homogeneous(work: Workload) -> list[list[int]]:
    """The configs that one unmixed program can train: equal activation and optimizer."""

    def kind(i: int) -> tuple[str, str]:
        return work.configs[i].activation, work.configs[i].optimizer

    return [list(g) for _, g in groupby(sorted(range(len(work.configs)), key=kind), key=kind)]


def for_one_kind(work: Workload) -> tuple[None, ...]:
    """The variants of a peer that trains one run at a time: it leaves out workloads that mix."""
    return (None,) if len(homogeneous(work)) == 1 else ()


def some(work: Workload, most: int = 4) -> list[int]:
    """A few configs, evenly spread: enough for a peer that trains one run at a time."""
    total = len(work.configs)
    return np.unique(np.linspace(0, total - 1, min(most, total)).round().astype(int)).tolist()


def gather(pieces: list[Any], configs: list[int]) -> Losses:
    """Records [lanes, ...] of these configs, one after the other, in the workload's order."""
    order = np.argsort(configs)
    columns = zip(*pieces, strict=True)
    return Losses(*(np.concatenate([np.asarray(a) for a in column])[order] for column in columns))


def on_device(inputs: Inputs) -> Any:
    """The data where the program reads them."""
    return jax.device_put((inputs.train, inputs.valid, inputs.test, inputs.rows))


def describe_device() -> str:
    device = jax.devices()[0]
    return f"1 x {device.device_kind} ({device.platform})"
