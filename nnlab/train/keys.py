"""Where every random number of a run comes from.

A key is derived from what it is for (seed, purpose, epoch, step, layer) and never from a run's
place in a program. So all configs of one seed share their batches, their initial draws and their
noise (common random numbers), and step 500 draws what step 500 always draws.
"""

from enum import IntEnum

import jax

from nnlab.types import AnyArray, Integer, PRNGKey


class Stream(IntEnum):
    """What a run draws random numbers for."""

    WEIGHTS = 0
    ORDER = 1
    NOISE = 2
    UPDATES = 3


def root(seed: int | Integer[AnyArray, ""]) -> PRNGKey:
    """The key of a seed.

    Threefry by name: its bits stay the same under vmap, on any number of devices and on any
    backend, which the default generator of the day does not promise.
    """
    return jax.random.key(seed, impl="threefry2x32")


def stream(key: PRNGKey, use: Stream) -> PRNGKey:
    """The independent key of one purpose under a seed's key."""
    return jax.random.fold_in(key, int(use))
