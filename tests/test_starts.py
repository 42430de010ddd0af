"""Initial weights depend on a run's seed, never on the seeds that are drawn beside it."""

import jax
import numpy as np
import pytest
from engine import blobs

import nnlab
from nnlab.lanes.program import each
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


def test_a_chunk_holds_each_distinct_start_once_and_tells_every_lane_which_is_its_own():
    axes = {"init": ["he", "xavier"], "draw": [0, 1], "learning_rate": np.arange(1, 6) / 10}
    sweep = nnlab.Sweep(mlp([5]), blobs(), axes | {"seed": [3]}, batch_size=20)
    (group,) = sweep.groups(4)  # of 20 configs, five of each start
    starts = Starts(sweep.data, group.batch_norm)
    chunks = [(*chunk, group.chunk(*chunk, starts)) for chunk in group.chunks()]
    outline = [leaf.shape for leaf in jax.tree.leaves(group.outline(starts))]
    for config_chunk, _, chunk in chunks:
        (which,), (held,) = chunk.which, chunk.starts
        assert [leaf.shape for leaf in jax.tree.leaves(chunk)] == outline
        assert all(leaf.shape[:2] == (1, 2) for leaf in jax.tree.leaves(held))
        got = each(jax.tree.map(lambda a: a[0], held), which)
        for i, place in enumerate(group.lanes_of(config_chunk)):
            wanted = starts(group.recipes[place.position], [3])
            for ours, theirs in zip(jax.tree.leaves(got), jax.tree.leaves(wanted), strict=True):
                np.testing.assert_array_equal(ours[i], theirs[0], strict=True)
    assert len(chunks) > 4


def test_configs_that_begin_alike_send_one_start_to_the_devices():
    sweep = nnlab.Sweep(mlp([5]), blobs(), {"learning_rate": np.arange(1, 33) / 100}, batch_size=20)
    (group,) = sweep.groups(16)
    chunk = group.chunk(0, 0, Starts(sweep.data, group.batch_norm))
    (which,), (held,) = chunk.which, chunk.starts
    assert which.tolist() == [0] * 16
    assert all(leaf.shape[:2] == (1, 1) for leaf in jax.tree.leaves(held))
