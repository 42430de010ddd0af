"""Cautious steps: a hand-computed one, and momentum's overshoot."""

import jax.numpy as jnp
import numpy as np

from nnlab.optim import momentum, sgd
from nnlab.optim.cautious import cautious


def test_a_step_keeps_what_the_gradient_agrees_with_and_makes_up_for_the_rest():
    rule = cautious(momentum(1.0, 0.5))
    w = {"a": jnp.zeros(4), "b": jnp.zeros(2)}
    first = {"a": jnp.asarray([1.0, 1.0, 1.0, 1.0]), "b": jnp.asarray([1.0, -1.0])}
    _, state = rule.update(first, rule.init(w), w)
    second = {"a": jnp.asarray([1.0, -0.25, -0.5, -2.0]), "b": jnp.asarray([2.0, -2.0])}
    u, _ = rule.update(second, state, w)
    # momentum's own steps: a = -(1.5, .25, 0, -1.5), of which the first and last agree; all of b
    np.testing.assert_allclose(u["a"], [-3.0, 0.0, 0.0, 3.0])
    np.testing.assert_allclose(u["b"], [-2.5, 2.5])


def test_where_all_agree_the_step_is_the_optimizers_own():
    rule, w = cautious(sgd(0.1)), jnp.ones(3)
    u, _ = rule.update(jnp.asarray([1.0, -2.0, 3.0]), rule.init(w), w)
    np.testing.assert_allclose(u, [-0.1, 0.2, -0.3], rtol=1e-6)


def test_few_agreeing_weights_are_not_thrown_far():
    rule, w = cautious(momentum(1.0, 0.5)), jnp.zeros(10_000)
    _, state = rule.update(jnp.ones(10_000), rule.init(w), w)
    against = jnp.full(10_000, -0.1).at[0].set(1.0)
    u, _ = rule.update(against, state, w)
    np.testing.assert_allclose(u[0], -1.5 / 1e-3)
    assert not np.any(u[1:])
