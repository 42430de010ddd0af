"""The order of an epoch's examples: a permutation, uniform in law, alone as under vmap."""

from itertools import permutations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.stats import chisquare

from nnlab.train import order as room
from nnlab.train.order import order, shuffled


@pytest.mark.parametrize("n", [1, 2, 3, 16, 17, 1797])
def test_every_row_comes_once(n):
    rows = np.asarray(shuffled(jax.random.key(n), n))
    assert rows.dtype == np.int32
    assert sorted(rows.tolist()) == list(range(n))


@pytest.mark.parametrize("most", [room.MOST_PACKED, 1], ids=["packed", "jax's"])
def test_all_orders_of_four_are_equally_likely(monkeypatch, most):
    monkeypatch.setattr(room, "MOST_PACKED", most)
    keys = jax.random.split(jax.random.key(0), 24_000)
    rows = np.asarray(jax.jit(jax.vmap(lambda key: shuffled(key, 4)))(keys))
    seen = [np.sum((rows == wanted).all(1)) for wanted in permutations(range(4))]
    assert sum(seen) == len(keys)
    assert chisquare(seen).pvalue > 1e-3


def test_rows_of_many_examples_are_spread_evenly_and_neighbours_are_parted():
    n = 60_000
    rows = np.asarray(shuffled(jax.random.key(1), n))
    halves = rows.reshape(60, 1000) < n // 2
    assert chisquare(halves.sum(1), np.full(60, n // 2 / 60)).pvalue > 1e-3
    followed = np.sum(np.diff(rows) == 1)  # on average (n - 1) / n, nearly Poisson
    assert followed < 8
    assert abs(np.corrcoef(np.arange(n), rows)[0, 1]) < 4 / np.sqrt(n)


def test_an_epoch_has_an_order_of_its_own_the_same_alone_and_beside_others():
    keys = jax.random.split(jax.random.key(2), 3)
    together = jax.vmap(lambda key: order(key, jnp.int32(5), 23, 4, 5))(keys)
    for key, rows in zip(keys, together, strict=True):
        np.testing.assert_array_equal(order(key, jnp.int32(5), 23, 4, 5), rows)
        assert len(set(np.asarray(rows).ravel().tolist())) == 20
        assert (np.asarray(order(key, jnp.int32(6), 23, 4, 5)) != np.asarray(rows)).any()
