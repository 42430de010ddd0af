"""A tree's numbers as one vector, its matrices turned round: which rules cannot tell."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from engine import blobs

import nnlab
from nnlab.lanes import segments
from nnlab.optim import NEEDS, OPTIMIZERS, OPTIMIZERS_SEE
from nnlab.optim.around import TRANSFORMS, TRANSFORMS_SEE
from nnlab.optim.core import Sees
from nnlab.optim.sgd import momentum, sgd
from nnlab.trees import flatten, unflatten

DRAW = np.random.default_rng(0)
TREE = {
    "w": jnp.asarray(DRAW.normal(size=(6, 5)), jnp.float32),
    "b": jnp.asarray(DRAW.normal(size=5), jnp.float32),
    "v": jnp.asarray(DRAW.normal(size=(5, 7)), jnp.float32),
    "s": jnp.asarray(DRAW.normal(size=(4, 4)), jnp.float32),
}
TARGET = jax.tree.map(lambda w: 0.3 * jnp.cos(7 * w), TREE)
NUMBERS = {
    "accumulate": {"every": 2}, "clip_adaptive": {"ratio": 0.1}, "clip_block_rms": {"bound": 0.1},
    "clip_norm": {"max_norm": 0.1}, "clip_values": {"bound": 0.1}, "l1": {"strength": 0.1},
    "elastic_net": {"l1": 0.1, "l2": 0.1}, "l2": {"weight_decay": 0.1}, "max_norm": {"radius": 0.5},
    "decoupled_weight_decay": {"weight_decay": 0.1}, "schedule_free": {"learning_rate": 0.05},
}  # fmt: skip


FOR_SMALL_ARRAYS = {"adafactor": {"min_dim": 4}, "galore": {"rank": 3}}
TURN = partial(jax.tree.map, jnp.transpose)
"""A tree with its matrices turned round; its own inverse."""


def loss(params):
    gaps = jax.tree.map(lambda w, t: jnp.sum((w - t) ** 2 * (1 + jnp.cos(w) ** 2)), params, TARGET)
    return sum(jax.tree.leaves(gaps))


def path(optimizer, show, read):
    """The tree after ten steps of an optimizer that is shown it as show(tree)."""
    optimizer = optax.with_extra_args_support(optimizer)

    def of_shown(params):
        return loss(read(params))

    def step(carry, _):
        params, state = carry
        value, g = jax.value_and_grad(of_shown)(params)
        more = {"value": value, "grad": g, "value_fn": of_shown, "obj_fn": of_shown}
        u, state = optimizer.update(g, state, params, **more)
        return (jax.tree.map(jnp.add, params, u), state), None

    start = show(TREE)
    with jax.numpy_dtype_promotion("standard"):
        (end, _), _ = jax.lax.scan(step, (start, optimizer.init(start)), None, length=10)
    return np.asarray(flatten(read(end)).numbers)


def as_it_is(optimizer):
    return path(optimizer, lambda tree: tree, lambda tree: tree)


def as_vector(optimizer):
    return path(optimizer, flatten, unflatten)


def turned(optimizer):
    return path(optimizer, TURN, TURN)


def make(name: str):
    if name in OPTIMIZERS:
        numbers = dict(FOR_SMALL_ARRAYS.get(name, {}))
        if "key" in NEEDS.get(name, ()):
            numbers["key"] = jax.random.key(0)
        return OPTIMIZERS[name](learning_rate=0.01, **numbers)
    numbers = dict(NUMBERS.get(name, {}))
    if name == "add_noise":
        numbers["key"] = jax.random.key(0)
    inner = momentum(0.05) if name == "cautious" else sgd(0.05)  # whose steps are all agreed with
    return TRANSFORMS[name](inner, **numbers)


WHAT = {name: OPTIMIZERS_SEE[f] for name, f in OPTIMIZERS.items()} | {
    name: TRANSFORMS_SEE[f] for name, f in TRANSFORMS.items()
}


def those(*kinds: Sees) -> list[str]:
    return sorted(name for name, kind in WHAT.items() if kind in kinds)


BY_PLACE = {"add_noise", "noisy_sgd", "sophia"}
"""What draws a number for every place, in a tree the same as in its vector. Sophia draws signs,
and a diagonal Hessian, as here, does not depend on them."""


@pytest.mark.parametrize("name", those(Sees.NUMBERS))
def test_a_rule_that_sees_numbers_moves_the_vector_as_it_moves_the_tree(name: str) -> None:
    tree = as_it_is(make(name))
    assert np.abs(tree - flatten(TREE).numbers).max() > 0, "the rule should move something"
    np.testing.assert_allclose(as_vector(make(name)), tree, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("name", those(Sees.NUMBERS, Sees.ARRAYS))
def test_a_rule_that_does_not_see_axes_moves_a_matrix_turned_round_alike(name: str) -> None:
    np.testing.assert_allclose(turned(make(name)), as_it_is(make(name)), rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize(
    "name", [name for name in those(Sees.ARRAYS, Sees.AXES) if name not in BY_PLACE]
)
def test_a_vector_would_change_a_rule_that_sees_more_than_numbers(name: str) -> None:
    assert np.abs(as_it_is(make(name)) - as_vector(make(name))).max() > 1e-6


@pytest.mark.parametrize("name", [name for name in those(Sees.AXES) if name != "sophia"])
def test_a_matrix_turned_round_would_change_a_rule_that_sees_axes(name: str) -> None:
    assert np.abs(as_it_is(make(name)) - turned(make(name))).max() > 1e-6


def test_flatten_and_unflatten_are_inverse_and_keep_batch_axes() -> None:
    batched = jax.tree.map(lambda w: jnp.stack([w, 2 * w]), TREE)
    flat = flatten(batched, batch_axes=1)
    assert flat.numbers.shape == (2, 86)
    back = unflatten(flat)
    assert jax.tree.all(jax.tree.map(lambda a, b: bool((a == b).all()), back, batched))
    matrices = unflatten(flat.where(lambda shape: len(shape) == 2))
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
