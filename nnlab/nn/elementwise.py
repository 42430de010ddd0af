"""Whether a function acts on every number of its argument by itself."""

from collections.abc import Callable, Iterator
from typing import Any

import jax
import jax.numpy as jnp
from jax.extend.core import ClosedJaxpr, Jaxpr

from nnlab.types import Array

PRIMITIVES = frozenset(
    """
    abs acos acosh add add_any and asin asinh atan atan2 atanh bessel_i0e bessel_i1e cbrt ceil
    clamp convert_element_type copy copy_p cos cosh digamma div eq erf erf_inv erfc exp exp2 expm1
    floor ge gt integer_pow is_finite le lgamma log log1p log2 logistic lt max min mul ne neg
    nextafter not one_minus_square or polynomial pow reduce_precision rem round rsqrt select_n
    sign sin sinh sqrt square stop_gradient sub tan tanh xor
    """.split()  # noqa: SIM905
)
"""Of jax: those whose results have the shape of their arguments, number by number."""
CALLS = frozenset({"checkpoint", "cond", "custom_jvp_call", "jit", "pjit"})
"""Of jax: those that act as the functions in them do, `cond` by a number all share."""


def elementwise(function: Callable[..., Any]) -> bool:
    """Whether f(x)_i and its slope depend on x_i alone, in the same way for every i.

    As far as the operations of f and of its derivative show: False where one of them is unknown,
    and where f has no forward mode (`jax.custom_vjp`).
    """
    shape = (3,)

    def with_slope(x: Array) -> tuple[Any, Any]:
        return jax.jvp(function, (x,), (jnp.ones_like(x),))

    try:
        traced = jax.make_jaxpr(with_slope)(jax.ShapeDtypeStruct(shape, jnp.float32))
    except Exception:  # whatever it says about an argument of this shape
        return False
    return [v.shape for v in traced.out_avals] == [shape] * 2 and _all(traced.jaxpr, traced.consts)


def _all(jaxpr: Jaxpr, consts: Any) -> bool:
    """Whether every operation is elementwise, and nothing is known but numbers."""
    return all(jnp.shape(const) == () for const in consts) and all(map(_one, jaxpr.eqns))


def _one(equation: Any) -> bool:
    """Whether an operation is elementwise."""
    name = equation.primitive.name
    if name == "broadcast_in_dim":
        return equation.invars[0].aval.shape == ()
    if name == "bitcast_convert_type":  # to numbers of another length it takes several for one
        return equation.invars[0].aval.shape == equation.outvars[0].aval.shape
    if name in CALLS:
        scalar = name != "cond" or equation.invars[0].aval.shape == ()
        return scalar and all(_all(*inner) for inner in _functions(equation.params))
    return name in PRIMITIVES


def _functions(parameters: dict[str, Any]) -> Iterator[tuple[Jaxpr, Any]]:
    """The functions that an operation calls, and the arrays they know."""
    for value in parameters.values():
        for inner in value if isinstance(value, tuple) else (value,):
            if isinstance(inner, ClosedJaxpr):
                yield inner.jaxpr, inner.consts
            elif isinstance(inner, Jaxpr):
                yield inner, ()
