"""Arithmetic on pytrees, and a tree as one vector: plumbing that formulas should not show."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from math import prod
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PyTree

map = jax.tree.map  # noqa: A001 - read as trees.map
leaves = jax.tree.leaves


def zeros_like(tree: PyTree) -> PyTree:
    """A tree of zeros with the same structure, shapes and dtypes."""
    return map(jnp.zeros_like, tree)


def total(tree: PyTree) -> Float[Array, ""]:
    """The sum of all numbers of all leaves."""
    sums = jax.tree.leaves(map(jnp.sum, tree))
    if not sums:
        return jnp.zeros(())
    return jnp.stack(sums).sum() if len(sums) > 1 else sums[0]


def dot(a: PyTree, b: PyTree) -> Float[Array, ""]:
    """The inner product sum_i a_i b_i over all leaves."""
    return total(map(jnp.multiply, a, b))


def norm(tree: PyTree) -> Float[Array, ""]:
    """The Euclidean norm sqrt(sum_i x_i^2) over all leaves."""
    return jnp.sqrt(dot(tree, tree))


@partial(
    jax.tree_util.register_dataclass,
    data_fields=["numbers"],
    meta_fields=["shapes", "structure"],
)
@dataclass(frozen=True)
class Flat:
    """The numbers of a tree's arrays in one vector, and the tree they come from."""

    numbers: Float[Array, "... total"]
    shapes: tuple[tuple[int, ...], ...]
    structure: Any
    """As `jax.tree.structure` has it."""

    def where(self, choose: Callable[[tuple[int, ...]], bool]) -> "Flat":
        """Which numbers belong to arrays of the shapes that are chosen."""
        flags = [np.full(prod(shape), choose(shape)) for shape in self.shapes]
        return replace(self, numbers=jnp.asarray(np.concatenate(flags)))


def flatten(tree: PyTree, batch_axes: int = 0) -> Flat:
    """All numbers in the order of the leaves; leading batch axes are kept."""
    arrays, structure = jax.tree.flatten(tree)
    rows = [x.reshape(*x.shape[:batch_axes], -1) for x in arrays]
    numbers = rows[0] if len(rows) == 1 else jnp.concatenate(rows, axis=-1)
    return Flat(numbers, tuple(x.shape[batch_axes:] for x in arrays), structure)


def unflatten(flat: Flat) -> PyTree:
    """The inverse of `flatten`; leading axes of the numbers are kept."""
    batch = flat.numbers.shape[:-1]
    rows = jax.lax.split(flat.numbers, [prod(shape) for shape in flat.shapes], axis=len(batch))
    arrays = [row.reshape(*batch, *shape) for row, shape in zip(rows, flat.shapes, strict=True)]
    return flat.structure.unflatten(arrays)
