"""Initial weights depend on a run's seed, never on the seeds that are drawn beside it."""

import jax
import numpy as np
import pytest
from engine import blobs

import nnlab
from nnlab.models import from_flax, from_loss, mlp
from nnlab.models.convnet import convnet
from nnlab.nn import INITIALIZERS
from nnlab.sweeps.starts import Starts

SEEDS = [3, 2**32 - 1, 0, 7, 8]
OF_CONVOLUTIONS = ("delta_orthogonal", "dirac")


def drawn(model, data, seeds, batch_size=20, **axes):
    sweep = nnlab.Sweep(model, data, axes | {"seed": seeds}, batch_size=batch_size)
    (group,) = sweep.groups()
    (recipe,) = group.recipes
    starts = Starts(sweep.data, group.batch_norm)
    return [jax.tree.leaves(starts(recipe, some)) for some in (seeds, *([s] for s in seeds))]


def assert_alike(together, *alone):
    assert all(type(leaf) is np.ndarray and len(leaf) == len(alone) for leaf in together)
    for i, one in enumerate(alone):
        for leaf, (own,) in zip(together, one, strict=True):
            np.testing.assert_array_equal(leaf[i], own, strict=True)


@pytest.mark.parametrize("init", [*sorted(set(INITIALIZERS) - set(OF_CONVOLUTIONS)), "lsuv"])
def test_weights_are_the_same_bits_whoever_is_drawn_beside(init):
    assert_alike(*drawn(mlp([17, 13]), blobs(), SEEDS, init=[init]))


@pytest.mark.parametrize("init", ["he", "orthogonal"])
def test_kernels_are_the_same_bits_whoever_is_drawn_beside(init):
    images = np.random.default_rng(0).normal(size=(90, 9, 9, 3)).astype(np.float32)
    data = nnlab.data.from_arrays(images, np.arange(90) % 3, validation=30, test=30)
    model = convnet([7], [11], kernel=3)
    assert_alike(*drawn(model, data, SEEDS, init=[init], batch_norm=[True]))


def test_models_of_others_are_drawn_likewise():
    from flax import linen

    assert_alike(*drawn(from_flax(linen.Dense(3)), blobs(), SEEDS))
    start = {"w": np.arange(3.0, dtype=np.float32)}
    for begin in (start, lambda key: {"w": jax.random.normal(key, (3,))}):
        problem = from_loss(lambda params, batch: (params["w"] ** 2).sum(), begin)
        assert_alike(*drawn(problem, None, SEEDS, batch_size=1))


def test_another_seed_draws_other_weights():
    together, *_ = drawn(mlp([17]), blobs(), SEEDS)
    kernels = [leaf for leaf in together if leaf.ndim == 3]
    assert all(len({own.tobytes() for own in leaf}) == len(SEEDS) for leaf in kernels)
