"""Arithmetic on pytrees: the plumbing that formulas should not show."""

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
