"""One of several activations, chosen by a number that lanes share: only that one is computed.

A program that trains the lanes of one activation after those of another needs one compiled network
for all of them. `lax.switch` alone would do, but its gradient keeps what every branch's gradient
might need. Here a gradient begins with the activation's input again. (Under `jax.checkpoint`,
`lax.switch` computes its branch twice: on two cores 12 optimizers x 6 activations train 1.13 times
as fast this way.)

The derivative is a primitive, linear in the tangents, and its transpose another, so that a choice
can be differentiated in any order and mode.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache, partial
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax
from jax.custom_derivatives import SymbolicZero
from jax.extend.core import Primitive
from jax.interpreters import ad, batching, mlir

from nnlab.types import Activation, Array, Int

Function = Callable[..., Array]
"""Of arrays; those of a choice have results of one shape."""


@dataclass(frozen=True)
class Choice:
    """The activation functions[index](numbers), as one function of x."""

    functions: tuple[Callable[[Mapping[str, Any]], Activation], ...]
    index: Int[Array, ""]
    numbers: Mapping[str, Any]

    def __call__(self, x: Array, /) -> Array:
        """f(x)."""
        names, values = tuple(self.numbers), map(jnp.asarray, self.numbers.values())
        functions = tuple(of_numbers(make, names) for make in self.functions)
        return choose(functions, self.index, x, *values)


@lru_cache(maxsize=1024)  # the same function for every layer: jax traces it once for a shape
def of_numbers(make: Callable[[Mapping[str, Any]], Activation], names: tuple[str, ...]) -> Function:
    """The activation, its numbers following its argument."""

    def function(x: Array, *values: Array) -> Array:
        return make(dict(zip(names, values, strict=True)))(x)

    return jax.jit(function)


@partial(jax.custom_jvp, nondiff_argnums=(0,))
def choose(functions: tuple[Function, ...], index: Int[Array, ""], *operands: Array) -> Array:
    """functions[index](*operands); the functions close over no array."""
    return lax.switch(index, functions, *operands)


def _forward(functions: tuple[Function, ...], primals: Any, tangents: Any) -> tuple[Array, Any]:
    index, *operands = primals
    given = list(tangents[1:])
    moving = tuple(i for i, t in enumerate(given) if not isinstance(t, SymbolicZero))
    y = choose(functions, index, *operands)
    if not moving:
        return y, jnp.zeros_like(y)
    moved = [given[i] for i in moving]
    return y, push_p.bind(index, *operands, *moved, functions=functions, moving=moving)


choose.defjvp(_forward, symbolic_zeros=True)


def _of_moving(function: Function, operands: Sequence[Array], moving: Sequence[int]) -> Function:
    """The function of those operands that move."""

    def of(*moved: Array) -> Array:
        every = list(operands)
        for i, x in zip(moving, moved, strict=True):
            every[i] = x
        return function(*every)

    return of


def _push(index: Array, *arrays: Array, functions: Any, moving: Any) -> Array:
    """The tangent of the result: operands first, then the tangents of those that move."""

    def branch(function: Function) -> Function:
        def of(*arrays: Array) -> Array:
            operands, tangents = arrays[: -len(moving)], arrays[-len(moving) :]
            own = tuple(operands[i] for i in moving)
            return jax.jvp(_of_moving(function, operands, moving), own, tangents)[1]

        return of

    return lax.switch(index, list(map(branch, functions)), *arrays)


def _pull(index: Array, *arrays: Array, functions: Any, moving: Any) -> list[Array]:
    """The cotangents of the operands that move: operands first, then that of the result."""

    def branch(function: Function) -> Callable[..., list[Array]]:
        def of(*arrays: Array) -> list[Array]:
            *operands, g = arrays
            own = [operands[i] for i in moving]
            return list(jax.vjp(_of_moving(function, operands, moving), *own)[1](g))

        return of

    return lax.switch(index, list(map(branch, functions)), *arrays)


push_p = Primitive("push")
pull_p = Primitive("pull")
pull_p.multiple_results = True


def _push_back(g: Any, index: Array, *arrays: Any, functions: Any, moving: Any) -> list[Any]:
    """The transpose of `push` in the tangents."""
    operands = arrays[: -len(moving)]
    nothing = [None] * (1 + len(operands))
    if isinstance(g, ad.Zero):
        return nothing + [None] * len(moving)
    return nothing + pull_p.bind(index, *operands, g, functions=functions, moving=moving)


def _pull_back(given: Any, index: Array, *arrays: Any, functions: Any, moving: Any) -> list[Any]:
    """The transpose of `pull` in the cotangent."""
    operands = arrays[:-1]
    tangents = [ad.instantiate_zeros(g) for g in given]
    y = push_p.bind(index, *operands, *tangents, functions=functions, moving=moving)
    return [None] * (1 + len(operands)) + [y]


def _register(
    primitive: Primitive, function: Callable[..., Any], transpose: Callable[..., Any]
) -> None:
    several = primitive.multiple_results

    def shape(index: Any, *arrays: Any, functions: Any, moving: Any) -> Any:
        del index
        if several:
            return [arrays[i] for i in moving]
        return jax.make_jaxpr(functions[0])(*arrays[: -len(moving)]).out_avals[0]

    def forward(primals: Any, tangents: Any, **how: Any) -> Any:
        index, *rest = primals
        moved = [ad.instantiate_zeros(t) for t in tangents[1:]]
        return jax.jvp(partial(function, index, **how), rest, moved)

    def batch(arrays: Any, axes: Any, *, functions: Any, moving: Any) -> Any:
        if axes[0] is not None:
            rule = partial(function, functions=functions, moving=moving)
            y = jax.vmap(rule, in_axes=axes)(*arrays)
            return y, [0] * len(y) if several else 0
        lanes = next(x.shape[at] for x, at in zip(arrays, axes, strict=True) if at is not None)
        index, *rest = arrays
        rest = [
            jnp.broadcast_to(x, (lanes, *x.shape)) if at is None else jnp.moveaxis(x, at, 0)
            for x, at in zip(rest, axes[1:], strict=True)
        ]
        y = primitive.bind(index, *rest, functions=tuple(map(jax.vmap, functions)), moving=moving)
        return y, [0] * len(y) if several else 0

    primitive.def_impl(jax.jit(function, static_argnames=("functions", "moving")))
    primitive.def_abstract_eval(shape)
    ad.primitive_jvps[primitive] = forward
    ad.primitive_transposes[primitive] = transpose
    batching.primitive_batchers[primitive] = batch
    mlir.register_lowering(primitive, mlir.lower_fun(function, multiple_results=several))


_register(push_p, _push, _push_back)
_register(pull_p, _pull, _pull_back)
