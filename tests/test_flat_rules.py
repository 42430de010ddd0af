"""A tree's numbers as one vector: which rules cannot tell, and that nothing is lost."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from engine import blobs

import nnlab
from nnlab.lanes import segments
from nnlab.optim import NEEDS, OPTIMIZERS, SHAPED
from nnlab.optim.around import SHAPED_TRANSFORMS, TRANSFORMS
from nnlab.optim.sgd import sgd
from nnlab.trees import Flat, flatten, unflatten

DRAW = np.random.default_rng(0)
TREE = {
    "w": jnp.asarray(DRAW.normal(size=(6, 5)), jnp.float32),
    "b": jnp.asarray(DRAW.normal(size=5), jnp.float32),
    "v": jnp.asarray(DRAW.normal(size=(5, 7)), jnp.float32),
}
TARGET = jax.tree.map(lambda w: 0.3 * jnp.cos(7 * w), TREE)
NUMBERS = {
    "accumulate": {"every": 2}, "clip_adaptive": {"ratio": 0.1}, "clip_block_rms": {"bound": 0.1},
    "clip_norm": {"max_norm": 0.1}, "clip_values": {"bound": 0.1}, "l1": {"strength": 0.1},
    "elastic_net": {"l1": 0.1, "l2": 0.1}, "l2": {"weight_decay": 0.1}, "max_norm": {"radius": 0.5},
    "decoupled_weight_decay": {"weight_decay": 0.1}, "schedule_free": {"learning_rate": 0.05},
}  # fmt: skip


def loss(params):
    if isinstance(params, Flat):
        params = unflatten(params, jax.tree.structure(TREE))
    gaps = jax.tree.map(lambda w, t: jnp.sum((w - t) ** 2 * (1 + jnp.cos(w) ** 2)), params, TARGET)
    return sum(jax.tree.leaves(gaps))


def path(optimizer, start):
    """The weights after ten steps, as one vector."""
    optimizer = optax.with_extra_args_support(optimizer)

    def step(carry, _):
        params, state = carry
        value, g = jax.value_and_grad(loss)(params)
        more = {"value": value, "grad": g, "value_fn": loss, "obj_fn": loss}
        u, state = optimizer.update(g, state, params, **more)
        return (jax.tree.map(jnp.add, params, u), state), None

    (end, _), _ = jax.lax.scan(step, (start, optimizer.init(start)), None, length=10)
    return end.numbers if isinstance(end, Flat) else flatten(end).numbers


def both_ways(optimizer):
    with jax.numpy_dtype_promotion("standard"):
        tree, vector = path(optimizer, TREE), path(optimizer, flatten(TREE))
    return np.asarray(tree), np.asarray(vector)


def make(name: str):
    if name in OPTIMIZERS:
        numbers = {"key": jax.random.key(0)} if "key" in NEEDS.get(name, ()) else {}
        return OPTIMIZERS[name](learning_rate=0.01, **numbers)
    numbers = dict(NUMBERS.get(name, {}))
    if name == "add_noise":
        numbers["key"] = jax.random.key(0)
    return TRANSFORMS[name](sgd(0.05), **numbers)


BLIND = sorted(
    [name for name, f in OPTIMIZERS.items() if f not in SHAPED]
    + [name for name, f in TRANSFORMS.items() if f not in SHAPED_TRANSFORMS]
)
LARGE_ONLY = ("adafactor", "galore", "sophia")
"""The first two look at larger arrays only; the last draws signs, and a diagonal Hessian, as here,
does not depend on them."""
SHAPE_AWARE = sorted(
    [name for name, f in OPTIMIZERS.items() if f in SHAPED and name not in LARGE_ONLY]
    + [name for name, f in TRANSFORMS.items() if f in SHAPED_TRANSFORMS]
)


@pytest.mark.parametrize("name", BLIND)
def test_a_blind_rule_moves_the_vector_as_it_moves_the_tree(name: str) -> None:
    tree, vector = both_ways(make(name))
    assert np.abs(tree - flatten(TREE).numbers).max() > 0, "the rule should move something"
    np.testing.assert_allclose(vector, tree, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("name", SHAPE_AWARE)
def test_a_shaped_rule_is_on_its_list_because_a_vector_would_change_it(name: str) -> None:
    tree, vector = both_ways(make(name))
    assert np.abs(tree - vector).max() > 1e-6


def test_flatten_and_unflatten_are_inverse_and_keep_batch_axes() -> None:
    batched = jax.tree.map(lambda w: jnp.stack([w, 2 * w]), TREE)
    flat = flatten(batched, batch_axes=1)
    assert flat.numbers.shape == (2, 70)
    back = unflatten(flat, jax.tree.structure(TREE))
    assert jax.tree.all(jax.tree.map(lambda a, b: bool((a == b).all()), back, batched))
    matrices = unflatten(flat.where(lambda shape: len(shape) == 2), jax.tree.structure(TREE))
    assert bool(matrices["w"].all() & matrices["v"].all() & ~matrices["b"].any())


def test_a_program_of_many_segments_trains_as_one_of_few(monkeypatch) -> None:
    """Vectors and trees, blind and shaped rules, averages, penalties and extra arguments."""
    axes = {
        "activation": ["relu"],
        "optimizer": ["adam", "muon", "schedule_free_sgd", "polyak_sgd", "noisy_sgd"],
        "weight_decay": [0.0, 0.01],
    }
    knobs = {"epochs": 2, "batch_size": 20, "learning_rate": 0.01}
    sweep = nnlab.Sweep(nnlab.models.mlp([8]), blobs(), axes, **knobs)
    trees = sweep.run(progress=False)["val_loss"].values
    monkeypatch.setattr(segments, "MOST_TREES", 0)
    again = nnlab.Sweep(nnlab.models.mlp([8]), blobs(), axes, **knobs)
    np.testing.assert_allclose(again.run(progress=False)["val_loss"].values, trees, rtol=2e-4)
