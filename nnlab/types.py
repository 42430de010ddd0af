"""Names of shapes and of function roles, said once."""

from collections.abc import Sequence
from typing import Any, Protocol, runtime_checkable

import jax
import numpy as np
from jaxtyping import Array, Bool, Float, Int, Integer, Key, PyTree

Scalar = Float[Array, ""]
Number = float | Float[Array, ""]
"""A hyperparameter: a Python number, or a traced scalar that a sweep varies."""
Flag = bool | Bool[Array, ""]
"""A switch: a Python bool, or a traced one that a sweep varies."""
PRNGKey = Key[Array, ""]
AnyArray = jax.Array | np.ndarray
"""An array on a device, or on its way there or back."""
Device = Any
"""A `jax.Device`, which type checkers take for a variable."""
Params = PyTree[Any]
Shape = Sequence[int]


@runtime_checkable
class Initializer(Protocol):
    """Draws one array of initial weights; jax's and flax's initializers have this signature."""

    def __call__(self, key: PRNGKey, shape: Shape, dtype: Any = ..., /) -> jax.Array: ...


@runtime_checkable
class Activation(Protocol):
    """Maps pre-activations to activations along the last axis."""

    def __call__(self, x: jax.Array, /) -> jax.Array: ...


__all__ = [
    "Activation",
    "AnyArray",
    "Array",
    "Bool",
    "Device",
    "Flag",
    "Float",
    "Initializer",
    "Int",
    "Integer",
    "Number",
    "PRNGKey",
    "Params",
    "PyTree",
    "Scalar",
    "Shape",
]
