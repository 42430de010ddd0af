"""Initializers that arrange their weights: orthogonal, sparse, identity; of [..., in, out]."""

import math
from typing import Any

import jax
import jax.numpy as jnp

from nnlab.errors import UsageError
from nnlab.nn.initializers_plain import check_scale
from nnlab.types import Initializer, Number, PRNGKey, Shape


def orthogonal(gain: Number = 1.0, column_axis: int = -1) -> Initializer:
    """`gain` times a matrix drawn evenly from those with orthonormal rows or columns.

    The kernel is read as [all other axes, column_axis]; the shorter side is orthonormal.  Equal to
    jax's, bit for bit.  Source: Saxe et al. (2014).  Raises UsageError for fewer than two axes.
    """
    check_scale("gain", gain)

    def init(key: PRNGKey, shape: Shape, dtype: Any = jnp.float32) -> jax.Array:
        if len(shape) < 2:
            raise UsageError(f"orthogonal got shape {tuple(shape)}; it needs two or more axes")
        rest = list(shape)
        columns = rest.pop(column_axis)
        wide = dtype if jnp.finfo(dtype).bits >= 32 else jnp.float32  # QR knows no half precision
        q = jax.random.orthogonal(key, math.prod(rest), (), wide, columns).astype(dtype)
        q = jnp.moveaxis(q.reshape(*rest, columns), -1, column_axis)
        return jnp.asarray(gain, dtype) * q

    return init


def delta_orthogonal(gain: Number = 1.0) -> Initializer:
    """An orthogonal matrix at the kernel's centre and 0 elsewhere, so a convolution keeps norms.

    Equal to jax's, bit for bit.  Source: Xiao et al. (2018).  Raises UsageError unless
    the kernel is [space…, in, out] with one to three space axes and in <= out.
    """
    check_scale("gain", gain)

    def init(key: PRNGKey, shape: Shape, dtype: Any = jnp.float32) -> jax.Array:
        *space, inputs, outputs = _convolution(shape, "delta_orthogonal")
        if inputs > outputs:
            raise UsageError(
                f"delta_orthogonal got {inputs} inputs and {outputs} outputs, and keeps norms only "
                "with as many outputs as inputs or more; widen the layer or use orthogonal"
            )
        q = orthogonal(gain)(key, (inputs, outputs), dtype)
        return jnp.zeros(shape, dtype).at[_centre(space)].set(q)

    return init


def identity(gain: Number = 1.0) -> Initializer:
    """`gain` times the identity matrix, w_ij = gain [i = j], also where [in, out] is not square.

    Source: Le, Jaitly & Hinton (2015).  Raises UsageError unless the weight has two axes.
    """

    def init(key: PRNGKey, shape: Shape, dtype: Any = jnp.float32) -> jax.Array:
        del key
        if len(shape) != 2:
            raise UsageError(
                f"identity got shape {tuple(shape)}; it needs [in, out]: dirac is for convolutions"
            )
        return jnp.asarray(gain, dtype) * jnp.eye(*shape, dtype=dtype)

    return init


def dirac(gain: Number = 1.0, groups: int = 1) -> Initializer:
    """A convolution [space…, in / groups, out] that passes its first channels on, times `gain`.

    The 1 stands where XLA's "SAME" padding centres the kernel, at (k - 1) // 2; torch's stands at
    k // 2, which differs for even k.  Source: Zagoruyko & Komodakis (2017).
    Raises UsageError unless there are one to three space axes and `groups` divides the outputs.
    """

    def init(key: PRNGKey, shape: Shape, dtype: Any = jnp.float32) -> jax.Array:
        del key
        *space, inputs, outputs = _convolution(shape, "dirac")
        if groups < 1 or outputs % groups:
            raise UsageError(f"dirac of {groups} groups got {outputs} outputs; take a divisor")
        taps = jnp.tile(jnp.eye(inputs, outputs // groups, dtype=dtype), (1, groups))
        kernel = jnp.zeros(shape, dtype).at[_centre(space)].set(taps)
        return jnp.asarray(gain, dtype) * kernel

    return init


def sparse(sparsity: Number = 0.9, std: Number = 0.01) -> Initializer:
    """Normal weights, of which each output keeps the same number: fan_in (1 - sparsity), rounded.

    torch's sparse_ thins what leaves each input instead.  Source: Martens (2010), section 5.
    Raises UsageError for fewer than two axes, or for a sparsity outside 0 to 1.
    """
    if isinstance(sparsity, float | int) and not 0 <= sparsity <= 1:
        raise UsageError(f"a sparsity of {sparsity} came; it is the part of zeros: try 0.9")
    check_scale("std", std)

    def init(key: PRNGKey, shape: Shape, dtype: Any = jnp.float32) -> jax.Array:
        if len(shape) < 2:
            raise UsageError(f"sparse got shape {tuple(shape)}; it needs two or more axes")
        key_place, key_value = jax.random.split(key)
        fan_in = math.prod(shape[:-1])
        noise = jax.random.uniform(key_place, (fan_in, shape[-1]))
        rank = jnp.argsort(jnp.argsort(noise, axis=0), axis=0).reshape(shape)
        z = jax.random.normal(key_value, shape, dtype)
        zeros = jnp.round(jnp.asarray(sparsity * fan_in)).astype(rank.dtype)
        return jnp.where(rank >= zeros, z * jnp.asarray(std, dtype), 0)

    return init


def _convolution(shape: Shape, name: str) -> Shape:
    if not 3 <= len(shape) <= 5:
        raise UsageError(
            f"{name} got shape {tuple(shape)}; it needs a convolution's [space…, in, out] with one "
            "to three space axes: identity and orthogonal are for dense layers"
        )
    return shape


def _centre(space: list[int]) -> tuple[int, ...]:
    return tuple((k - 1) // 2 for k in space)
