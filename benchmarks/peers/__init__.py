"""The programs that are timed beside each other, one file each.

A peer is a module with two functions, called in a process of its own:

    variants(work) -> tuple            what it tries (lane counts, say); its best one counts
    prepare(work, inputs, variant)     -> Prepared

Their time starts with `prepare`; `inputs` are ready before it.
"""

from collections.abc import Callable
from typing import Any, NamedTuple


class Prepared(NamedTuple):
    """A peer that is ready to train."""

    run: Callable[[], Any]
    """Train every config from its start; returns when the losses are numpy arrays."""
    compile_seconds: Callable[[], float]
    """What tracing and compilation took, known after the first run."""
    configs: tuple[int, ...]
    """Which of the workload's configs it trains."""
    lanes: str
    """How many runs train together, in words."""
    device: str
