"""The initial parameters of runs, drawn once for each seed and initializer."""

from collections.abc import Hashable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from nnlab import trees
from nnlab.data.dataset import Dataset
from nnlab.errors import UsageError
from nnlab.lanes.devices import host
from nnlab.models.mlp import Weights
from nnlab.models.model import Settings
from nnlab.models.pretraining import FROM_DATA
from nnlab.sweeps.arrays import outputs_of
from nnlab.sweeps.build import asked, own, start_settings
from nnlab.sweeps.labels import words
from nnlab.sweeps.recipe import Recipe
from nnlab.train.keys import Stream, root, stream
from nnlab.types import AnyArray, PRNGKey, PyTree

MOST_KEPT = 64 * 2**20
"""Bytes of initial parameters kept for reuse."""
MOST_EXAMPLES = 10_000
"""Training examples shown to an initializer that looks at the data."""


class Starts:
    """Initial (params, stats) of a recipe by seeds, numpy arrays [seeds, ...].

    They depend on the model, its initializers and the seed, not on the optimizer or the rates, so a
    sweep needs few distinct ones; the same seed draws the same base numbers for every initializer.
    """

    def __init__(self, data: Dataset, batch_norm: bool):
        self._data = data
        self._batch_norm = batch_norm
        self._kept: dict[Any, PyTree] = {}
        self._bytes = 0

    def __call__(self, recipe: Recipe, seeds: Sequence[int]) -> PyTree:
        key = start_of(recipe), tuple(seeds)
        if key in self._kept:
            return self._kept[key]
        drawn = draw(recipe, seeds, self._data, self._batch_norm)
        size = sum(leaf.nbytes for leaf in jax.tree.leaves(drawn))
        if self._bytes + size > MOST_KEPT:
            self._kept.clear()
            self._bytes = 0
        self._kept[key] = drawn
        self._bytes += size
        return drawn

    def outline(self, recipe: Recipe) -> PyTree:
        """Shapes and dtypes of a recipe's initial (params, stats)."""
        settings, data = start_settings(recipe, self._batch_norm), self._data
        return jax.eval_shape(
            lambda key: recipe.model.start(key, data.shape, outputs_of(data), settings), root(0)
        )


def start_of(recipe: Recipe) -> Hashable:
    """What decides a recipe's initial parameters, beside the seed."""
    activation = recipe.activation, tuple(own(dict(recipe.for_task), "activation").items())
    return recipe.model, activation, recipe.start, recipe.draw


def draw(recipe: Recipe, seeds: Sequence[int], data: Dataset, batch_norm: bool) -> PyTree:
    """The initial (params, stats) of some runs, computed on the CPU's first device if it has one.

    Many seeds are drawn at once, to the same bits as one by one: operations of a few microseconds,
    each of which costs a hundred to start (measured: 16 seeds of 64-5x100-10 in 20 ms, not 90).
    """
    settings = start_settings(recipe, batch_norm)
    shown = examples(data) if looks_at_data(recipe) else None

    def one(seed: int | AnyArray) -> PyTree:
        key = stream(root(seed), Stream.WEIGHTS)
        key = jax.random.fold_in(key, recipe.draw) if recipe.draw else key
        params, stats = recipe.model.start(key, data.shape, outputs_of(data), settings)
        if shown is not None:
            params = pretrain(recipe, key, params, settings, shown)
        return params, stats

    with jax.default_device(host()):
        if len(seeds) > 1 and shown is None:
            return trees.map(np.asarray, jax.vmap(one)(np.array(seeds, np.uint32)))
        return trees.map(lambda *leaves: np.stack(leaves), *[one(seed) for seed in seeds])


def looks_at_data(recipe: Recipe) -> bool:
    """Whether a recipe's initial weights depend on the training examples."""
    return dict(recipe.start).get("init", (None,))[0] in FROM_DATA.values()


def pretrain(
    recipe: Recipe, key: PRNGKey, params: PyTree, settings: Settings, x: AnyArray
) -> PyTree:
    """The weights that an initializer makes of others and of training examples."""
    function, arguments = dict(recipe.start)["init"]
    if not isinstance(params, Weights):
        raise UsageError(
            f"init {function.__name__} is for multilayer perceptrons, got {words(recipe.model, 60)}"
            "; try 'he' or 'orthogonal'"
        )
    told = asked(function, {"activation": settings.activation})
    return function(key, params, jnp.asarray(x), **told, **dict(arguments))


def examples(data: Dataset) -> np.ndarray:
    """Training examples as the network sees them, 10,000 at most."""
    x = np.asarray(data.train.x[:MOST_EXAMPLES], np.float32)
    return (x - np.float32(data.offset)) * np.float32(data.scale)
