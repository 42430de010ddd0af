"""The order in which an epoch visits the training set."""

from math import ceil, log2

import jax
import jax.numpy as jnp

from nnlab.types import Array, Int, PRNGKey

MOST_PACKED = 2**20
"""Up to so many examples a sort of keys that hold the row's number beats a sort of pairs."""


def order(
    key: PRNGKey, epoch: Int[Array, ""], examples: int, steps: int, batch_size: int
) -> Int[Array, "steps batch"]:
    """The rows of each batch of one epoch: a fresh permutation, its remainder dropped."""
    rows = shuffled(jax.random.fold_in(key, epoch), examples)
    return rows[: steps * batch_size].reshape(steps, batch_size)


def shuffled(key: PRNGKey, examples: int) -> Int[Array, "examples"]:
    """0 to examples - 1 in uniformly random order, as `jax.random.permutation` has it in law.

    Each round sorts words whose high bits are random and whose low bits are the place: XLA sorts
    one array on a CPU five times as fast as one by another (jax 0.10), and the rounds together are
    a sort by all their random bits. These are 3 log2(examples) or more, as many as jax asks for, so
    that two of them agree with a probability below 1 / examples.
    """
    if not 1 < examples <= MOST_PACKED:
        return jax.random.permutation(key, examples)
    low = (examples - 1).bit_length()
    rounds = ceil(3 * log2(examples) / (32 - low))
    places = jnp.arange(examples, dtype=jnp.uint32)
    rows = places
    for bits in jax.random.bits(key, (rounds, examples), jnp.uint32):
        found = jnp.sort(bits << low | places) & (2**low - 1)
        rows = rows.at[found].get(mode="promise_in_bounds", unique_indices=True)
    return rows.astype(jnp.int32)
