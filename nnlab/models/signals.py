"""What passes through the layers of a network, and numbers that sum it up.

`signals` works for any model that reads `Settings.activation`, at any step of anybody's loop: the
activation it hands to the model notes what it is given and what it returns. No model is changed.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from nnlab.models.model import Network, Settings
from nnlab.types import AnyArray, Array, Float, Params, PRNGKey, Scalar

FLAT = 0.05
PERCENTILES = (15.0, 50.0, 85.0)
EDGES = np.linspace(-4.025, 4.025, 162)
"""Bins of 0.05, so that -1, 0 and 1, where activations pile up, are in the middle of theirs."""


class Signal(NamedTuple):
    """What one activation is given and returns for a batch: examples first, units after."""

    before: Float[Array, "batch ..."]
    """Pre-activations z."""
    after: Float[Array, "batch ..."]
    """Activations f(z)."""
    slope: Float[Array, "batch ..."]
    """f'(z); where f takes several numbers (maxout), along an equal change of all of them."""


class LayerStatistics(NamedTuple):
    """One layer's numbers, over all its units and all examples of a batch."""

    mean: Scalar
    """Of the activations, as is `std`."""
    std: Scalar
    input_mean: Scalar
    """Of the pre-activations, as is `input_std`."""
    input_std: Scalar
    dead: Scalar
    """Share of units that are 0 for every example."""
    saturated: Scalar
    """Share of activations with |f'(z)| < 0.05: next to no gradient passes."""
    percentiles: Float[Array, " percentiles"]
    """The 15th, 50th and 85th of the pre-activations."""
    histogram: Float[Array, " bins"]
    """Activations in each bin; what lies beyond the edges is in the outermost bins."""


def signals(
    model: Network, params: Params, stats: Any, x: Array, settings: Settings, key: PRNGKey | None
) -> tuple[Signal, ...]:
    """The signal at each activation of a model, in the order in which it computes them.

    With key None the model evaluates, otherwise it trains (statistics of this batch, dropout).
    Where a model keeps its batch on another axis (convolutions), that axis is found, as the one
    that grows with the batch, and moved to the front. Empty where nothing reads the activation.
    """

    def trace(x: Array) -> list[Signal]:
        seen = []

        def activation(z: Array) -> Array:
            if jnp.ndim(z) < 2:  # a model that asks how the activation treats shapes
                return settings.activation(z)
            after, slope = jax.jvp(settings.activation, (z,), (jnp.ones_like(z),))
            seen.append(Signal(z, after, slope))
            return after

        model.apply(params, stats, x, settings._replace(activation=activation), key)
        return seen

    def shapes(batch: int) -> list[tuple[int, ...]]:
        found = jax.eval_shape(trace, jax.ShapeDtypeStruct((batch, *x.shape[1:]), x.dtype))
        return [signal.before.shape for signal in found]

    pairs = zip(shapes(x.shape[0]), shapes(x.shape[0] + 1), strict=True)
    places = [[m != n for m, n in zip(*pair, strict=True)].index(True) for pair in pairs]
    return tuple(
        Signal(*(jnp.moveaxis(a, place, 0) for a in signal))
        for signal, place in zip(trace(x), places, strict=True)
    )


def layer_statistics(signal: Signal, edges: AnyArray = EDGES) -> LayerStatistics:
    """Sum up one layer; `edges` are the histogram's, equally spaced."""
    before, after, slope = signal
    dead = jnp.all(after == 0, axis=0)
    at = jnp.asarray(PERCENTILES, before.dtype)
    return LayerStatistics(
        mean=jnp.mean(after),
        std=jnp.std(after),
        input_mean=jnp.mean(before),
        input_std=jnp.std(before),
        dead=jnp.mean(dead.astype(jnp.float32)),
        saturated=jnp.mean((jnp.abs(slope) < FLAT).astype(jnp.float32)),
        percentiles=jnp.percentile(before, at),
        histogram=count(after, edges),
    )


def count(x: Array, edges: AnyArray) -> Float[Array, " bins"]:
    """How many finite numbers lie in each of equally spaced bins, the outermost without end."""
    low, high, bins = float(edges[0]), float(edges[-1]), len(edges) - 1
    place = jnp.clip(jnp.floor((x - low) * (bins / (high - low))), 0, bins - 1)
    place = jnp.where(jnp.isfinite(x), place, bins).astype(jnp.int32)  # NaN is out of bounds
    return jnp.zeros(bins).at[place.ravel()].add(1.0, mode="drop")
