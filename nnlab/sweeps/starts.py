"""The initial parameters of runs, drawn once for each seed and initializer."""

from typing import Any

import jax
import numpy as np

from nnlab import trees
from nnlab.data.dataset import Dataset
from nnlab.sweeps.arrays import outputs_of
from nnlab.sweeps.grid import Recipe, start_settings
from nnlab.train.keys import Stream, root, stream
from nnlab.types import PyTree

MOST_KEPT = 64 * 2**20
"""Bytes of initial parameters kept for reuse."""


class Starts:
    """Initial (params, stats) by recipe and seed, as numpy arrays.

    They depend on the model, its initializers and the seed, not on the optimizer or the rates, so a
    sweep needs few distinct ones; the same seed draws the same base numbers for every initializer.
    """

    def __init__(self, data: Dataset, batch_norm: bool):
        self._shape, self._outputs = data.shape, outputs_of(data)
        self._batch_norm = batch_norm
        self._kept: dict[Any, PyTree] = {}
        self._bytes = 0

    def __call__(self, recipe: Recipe, seed: int) -> PyTree:
        activation = recipe.activation, tuple(recipe.activation_numbers().items())
        key = recipe.model, activation, recipe.start, seed
        if key in self._kept:
            return self._kept[key]
        drawn = draw(recipe, seed, self._shape, self._outputs, self._batch_norm)
        size = sum(leaf.nbytes for leaf in jax.tree.leaves(drawn))
        if self._bytes + size > MOST_KEPT:
            self._kept.clear()
            self._bytes = 0
        self._kept[key] = drawn
        self._bytes += size
        return drawn


def draw(
    recipe: Recipe, seed: int, shape: tuple[int, ...], outputs: int, batch_norm: bool
) -> PyTree:
    """The initial (params, stats) of one run, computed on the CPU's first device."""
    with jax.default_device(jax.local_devices(backend="cpu")[0]):
        key = stream(root(seed), Stream.WEIGHTS)
        return trees.map(
            np.asarray, recipe.model.start(key, shape, outputs, start_settings(recipe, batch_norm))
        )
