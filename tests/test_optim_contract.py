"""Every optimizer keeps its types, compiles once, and works inside optax's wrappers."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from nnlab.parity import PLAIN
from nnlab.parity.case import told
from nnlab.parity.compare import lenient, quick
from nnlab.parity.problems import PROBLEMS

every_optimizer = pytest.mark.parametrize("case", PLAIN.values(), ids=PLAIN)


@functools.cache
def at_start():
    """Weights of every rank, the loss there and its gradient."""
    w = PROBLEMS["mixed"].begin(jnp.float32)
    return w, *jax.jit(jax.value_and_grad(PROBLEMS["mixed"].loss))(w)


def situation(case):
    """An optimizer, weights, a gradient and what else update is told."""
    w, value, g = at_start()
    tx = optax.with_extra_args_support(case.optimizer(**case.defaults))
    return tx, w, g, told(case.name, PROBLEMS["mixed"].loss, value, g)


def kinds(tree, *, weak=True):
    return jax.tree.map(lambda x: (x.shape, x.dtype, weak and x.weak_type), tree)


@every_optimizer
@pytest.mark.parametrize(
    "halved",
    [set(), {"matrix", "vector"}, {"kernel", "matrix", "number", "vector"}],
    ids=["float32", "mixed", "bfloat16"],
)
def test_state_keeps_its_types_and_every_update_its_arrays_dtype(case, halved) -> None:
    tx, w, g, seen = situation(case)
    w, g = ({k: x.astype(jnp.bfloat16) if k in halved else x for k, x in t.items()} for t in (w, g))
    state = jax.eval_shape(tx.init, w)
    u, after = jax.eval_shape(lambda g, s, w: tx.update(g, s, w, **seen), g, state, w)
    assert kinds(state) == kinds(after)
    assert kinds(u, weak=False) == kinds(w, weak=False)


@every_optimizer
def test_three_steps_compile_once(case) -> None:
    tx, w, g, seen = situation(case)
    update = jax.jit(lambda g, s, w: tx.update(g, s, w, **seen), compiler_options=quick())
    state = tx.init(w)
    for _ in range(3):
        u, state = update(g, state, w)
        w = jax.tree.map(jnp.add, w, u)
    assert update._cache_size() == 1
    assert all(np.all(np.isfinite(x)) for x in jax.tree.leaves(w))


def assert_near(found, expected) -> None:
    for a, b in zip(jax.tree.leaves(found), jax.tree.leaves(expected), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5 * np.abs(b).max() + 1e-12)


@every_optimizer
def test_update_is_the_same_inside_chain_and_multisteps(case) -> None:
    tx, w, g, seen = situation(case)
    chained, patient = optax.chain(optax.identity(), tx), optax.MultiSteps(tx, 2)

    def updates(g):
        once = [t.update(g, t.init(w), w, **seen)[0] for t in (tx, chained)]
        with lenient():
            rest, state = patient.update(g, patient.init(w), w, **seen)
            return *once, patient.update(g, state, w, **seen)[0], rest

    plain, *wrapped, rest = jax.jit(updates, compiler_options=quick())(g)
    assert all(np.all(np.asarray(x) == 0) for x in jax.tree.leaves(rest))
    for u in wrapped:
        assert_near(u, plain)


@every_optimizer
def test_a_mask_that_covers_a_part_leaves_the_rest_alone(case) -> None:
    tx, w, g, seen = situation(case)
    chosen = {name: name in {"kernel", "number"} for name in w}
    masked = optax.masked(tx, chosen)
    part = [{name: x for name, x in tree.items() if chosen[name]} for tree in (g, w)]

    def two_steps(t, g, w):
        first, state = t.update(g, t.init(w), w, **seen)
        return first, t.update(jax.tree.map(lambda x: 0.5 * x, g), state, w, **seen)[0]

    both = jax.jit(
        lambda: (two_steps(masked, g, w), two_steps(tx, *part)), compiler_options=quick()
    )
    for k, (covered, alone) in enumerate(zip(*both(), strict=True)):
        assert_near({name: covered[name] for name in alone}, alone)
        for name in w.keys() - alone.keys():
            np.testing.assert_array_equal(covered[name], 0.5**k * g[name])
