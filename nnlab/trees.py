"""Arithmetic on pytrees: the plumbing that formulas should not show."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PyTree

map = jax.tree.map  # noqa: A001 - read as trees.map
leaves = jax.tree.leaves


def zeros_like(tree: PyTree) -> PyTree:
    """A tree of zeros with the same structure, shapes and dtypes."""
    return map(jnp.zeros_like, tree)


def dot(a: PyTree, b: PyTree) -> Float[Array, ""]:
    """The inner product sum_i a_i b_i over all leaves."""
    products = jax.tree.leaves(map(lambda x, y: jnp.sum(x * y), a, b))
    return jnp.stack(products).sum() if len(products) > 1 else products[0]


def norm(tree: PyTree) -> Float[Array, ""]:
    """The Euclidean norm sqrt(sum_i x_i^2) over all leaves."""
    return jnp.sqrt(dot(tree, tree))


def size(tree: PyTree) -> int:
    """The number of scalars in the tree."""
    return sum(leaf.size for leaf in jax.tree.leaves(tree))


def unzip(function: Callable[..., tuple], *trees: PyTree) -> tuple[Any, ...]:
    """Map a function that returns a tuple: a tuple of trees, not a tree of tuples."""
    leaves, structure = jax.tree.flatten(trees[0])
    rest = [structure.flatten_up_to(tree) for tree in trees[1:]]
    results = [function(*row) for row in zip(leaves, *rest, strict=True)]
    return tuple(structure.unflatten(column) for column in zip(*results, strict=True))
