"""Dear work that is due at few steps: a real branch under vmap, and the same numbers."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from nnlab.optim import OPTIMIZERS
from nnlab.optim.seldom import where_due


def halves(due, x):
    return where_due(due, lambda: {"a": x / 2}, {"a": x})["a"]


@pytest.mark.parametrize("flags", [[True, True], [True, False], [False, False]])
def test_each_lane_takes_what_it_asked_for(flags):
    x = jnp.asarray([[2.0, 4.0], [6.0, 8.0]])
    found = jax.jit(jax.vmap(halves))(jnp.asarray(flags), x)
    np.testing.assert_array_equal(found, np.where(np.array(flags)[:, None], x / 2, x))
    nested = jax.vmap(jax.vmap(halves), (None, 0))(jnp.asarray(flags), jnp.stack([x, x]))
    np.testing.assert_array_equal(nested, jnp.stack([found, found]))


@pytest.mark.parametrize("due", [True, False])
def test_its_derivatives_are_those_of_what_was_chosen(due):
    x = jnp.ones(2)
    slope = 0.5 if due else 1.0
    np.testing.assert_array_equal(
        jax.grad(lambda x: halves(jnp.asarray(due), x).sum())(x), [slope] * 2
    )
    _, along = jax.jvp(lambda x: halves(jnp.asarray(due), x), (x,), (x,))
    np.testing.assert_array_equal(along, [slope] * 2)


RULES = {
    "soap": lambda: OPTIMIZERS["soap"](0.1),
    "galore": lambda: OPTIMIZERS["galore"](0.1, rank=2),
    "sophia": lambda: OPTIMIZERS["sophia"](0.1, jax.random.key(0)),
}


@pytest.mark.parametrize("name", RULES)
def test_lanes_of_an_optimizer_branch_at_its_seldom_work(name):
    rule, w = RULES[name](), jnp.stack([jnp.eye(4), 2 * jnp.eye(4)])

    def one(w, s):
        def loss(w):
            return (w**4).sum()

        u, s = rule.update(jax.grad(loss)(w), s, w, obj_fn=loss)
        return w + u, s

    state = jax.vmap(rule.init)(w)
    assert "cond[" in str(jax.make_jaxpr(jax.vmap(one))(w, state))
    together = w
    step, alone = jax.jit(jax.vmap(one)), jax.jit(one)
    for _ in range(12):
        together, state = step(together, state)
    for lane in range(2):
        x, s = w[lane], rule.init(w[lane])
        for _ in range(12):
            x, s = alone(x, s)
        np.testing.assert_allclose(together[lane], x, rtol=1e-4, atol=1e-5)
