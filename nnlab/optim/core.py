"""An optimizer is a rule for one array: what it remembers at the start, and one step.

    begin(w) -> s              the memory of an array of weights, a NamedTuple of arrays
    step(g, s, h) -> (u, s)    the update for the gradient g, and the new memory

`each` lifts such a rule to trees, and that is all the tree plumbing there is.  `whole` does the
same for a rule that couples all arrays (through a norm, say): there w, g and u are trees.  In
both, h has

    h.beta1, h.eps, ...        the rule's hyperparameters, by the names given to `each`
    h.t, h.count               the step's number, 1 for the first (counts=True): float, integer
    h.w                        the weights

A hyperparameter is a Python number, a traced scalar, or a schedule (count -> value, count 0 at the
first step, as in optax); a rule with a schedule counts its steps.  Arithmetic and memory are at
least float32, and the update comes back in the gradient's dtype; bfloat16 and float16 weights
therefore keep float32 moments, where optax rounds them (.999 is 1 in bfloat16).  Numbers are
rounded to that dtype before anything is computed of them, so that 1 - beta2 belongs to beta2 and a
Python number does what a traced one does.  eps = 0 is taken as the root of the smallest normal
number (1e-19 in float32), so that 0 / eps is 0.  Weights and gradients are real.
"""

from collections.abc import Callable
from enum import IntEnum
from types import SimpleNamespace
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

from nnlab.errors import UsageError
from nnlab.optim import checks
from nnlab.types import Array, Int, Number, Params, PyTree

Constant = Number | int | np.number
"""A hyperparameter that is read once, at the beginning."""
Rate = Number | int | np.number | Callable[..., Any]
"""A hyperparameter that may also be a schedule: count -> value."""
Steps = Number | int | Int[Array, ""]
"""A number of steps, perhaps traced, perhaps as a float."""
Mask = PyTree[Any] | Callable[[Params], PyTree[Any]] | None
"""Which arrays: a tree of booleans (or a prefix of one), params -> such a tree, or None for all."""
Begin = Callable[[Any], Any]
Step = Callable[[Any, Any, Any], tuple[Any, Any]]


def whole_steps(steps: Steps, least: int = 0, name: str = "steps") -> Int[Array, ""]:
    """A number of steps as an integer array, rounded down, and `least` at least.

    Raises UsageError for a Python number below it.
    """
    if isinstance(steps, int | float) and steps < least:
        raise UsageError(f"{name} is {steps:g}; it needs {least} or more")
    return jnp.maximum(jnp.floor(jnp.asarray(steps)), least).astype(jnp.int32)


class Sees(IntEnum):
    """What an optimizer tells apart in a tree of weights; of several, the most counts."""

    NUMBERS = 0
    """Nothing: all numbers are treated alike, in whatever arrays they come."""
    ARRAYS = 1
    """Arrays, by their norms say; but a matrix turned round is treated alike."""
    AXES = 2
    """Rows from columns, or the places of single numbers."""


class State(NamedTuple):
    """What the next step needs: how many steps were made (None if nobody asks), and the memory."""

    t: Int[Array, ""] | None
    memory: PyTree[Any]


class Given(SimpleNamespace):
    """What a step may read beside its gradient and memory."""

    def __getattr__(self, name: str) -> Any:
        what = {"w": "the weights: call update(grads, state, params)"}
        raise UsageError(f"this optimizer reads {what.get(name, f'{name}: pass {name}=...')}")


def each(begin: Begin, step: Step, *, counts: bool = False, **hyper: Any) -> Any:
    """The transformation that applies a rule to every array on its own."""
    read, counts = _reader(hyper, counts)

    def init(params: Any) -> Any:
        return State(_zero(counts), jax.tree.map(lambda w: begin(_wide(w)), params))

    def update(updates: Any, state: Any, params: Any = None) -> tuple[Any, Any]:
        t, at = read(state.t)
        gs, structure = jax.tree.flatten(updates)
        ss = structure.flatten_up_to(state.memory)
        ws = [None] * len(gs) if params is None else structure.flatten_up_to(params)
        us, new = [], []
        for g, s, w in zip(gs, ss, ws, strict=True):
            u, s_next = step(_wide(g), s, at(_wide_dtype(g), {} if w is None else {"w": _wide(w)}))
            us.append(u.astype(g.dtype))
            new.append(s_next)
        return structure.unflatten(us), State(t, structure.unflatten(new))

    return optax.GradientTransformation(init, update)


def whole(begin: Begin, step: Step, *, counts: bool = False, **hyper: Any) -> Any:
    """The transformation that applies a rule to the whole tree, in the widest dtype of its arrays.

    Keyword arguments of `update` (the loss as value=, ...) are read as h.value, ...
    """
    read, counts = _reader(hyper, counts)

    def init(params: Any) -> Any:
        return State(_zero(counts), begin(_common(params, _widest(params))))

    def update(updates: Any, state: Any, params: Any = None, **extra: Any) -> tuple[Any, Any]:
        t, at = read(state.t)
        dtype = _widest(updates)
        weights = {} if params is None else {"w": _common(params, dtype)}
        told = {name: _cast(x, dtype) for name, x in extra.items()} | {"extra": extra}
        u, memory = step(_common(updates, dtype), state.memory, at(dtype, told | weights))
        return jax.tree.map(lambda u, g: u.astype(g.dtype), u, updates), State(t, memory)

    return optax.GradientTransformationExtraArgs(init, update)


def evaluated(state: Any, params: Params) -> Params | None:
    """The weights to evaluate where they are not those that train, None where they are.

    An optimizer that averages weights, or trains away from them, has a memory with a method
    `evaluated(params)`; the outermost one is asked: what contains the others, or stands last in
    the chain.
    """
    averages = [
        node
        for node in jax.tree.leaves(state, is_leaf=lambda node: hasattr(node, "evaluated"))
        if hasattr(node, "evaluated")
    ]
    return averages[-1].evaluated(params) if averages else None


class Nothing(NamedTuple):
    """The memory of a rule that has none."""


def forgetful(_w: Any) -> Nothing:
    """The beginning of a rule without memory."""
    return Nothing()


def zeros(memory: Any) -> Begin:
    """The beginning of a rule whose memory, a NamedTuple of arrays like w, starts at 0."""
    return lambda w: memory(*[jnp.zeros_like(w) for _ in memory._fields])


def filled(beta: Number, t: Any) -> Any:
    """The weights that a running mean started at zero has given to t numbers: 1 - beta^t.

    -expm1(t log1p(-(1 - beta))) keeps its digits for beta near 1, where beta^t has lost them.
    """
    return -jnp.expm1(t * jnp.log1p(-(1 - beta)))


def above_zero(eps: Any, dtype: Any) -> Any:
    """The eps, or for 0 the root of the smallest normal number: no root of a v is smaller but 0."""
    least = float(jnp.finfo(dtype).tiny) ** 0.5
    return (eps or least) if isinstance(eps, int | float) else jnp.where(eps == 0, least, eps)


def corrected(mean: Array, beta: Number, t: Any) -> Array:
    """A running mean of t numbers, rid of its start at zero: mean / (1 - beta^t).

    The factor is one number for all of the array: division is the dearest arithmetic of a step.
    """
    return mean * (1 / filled(beta, t))


def descend(learning_rate: Rate) -> Any:
    """Turns a direction into a step downhill: u = -learning_rate g."""
    return each(
        forgetful,
        lambda g, s, h: (-h.learning_rate * g, s),
        learning_rate=learning_rate,
    )


def chain(*parts: Any) -> Any:
    """optax.chain of the parts that are not None."""
    return optax.chain(*[part for part in parts if part is not None])


def add_weights(weight_decay: Rate | None, mask: Mask = None) -> Any:
    """Adds weight_decay w to what arrives, on the arrays that the mask names; None adds nothing."""
    if weight_decay is None:
        return None
    plus = each(forgetful, lambda g, s, h: (g + h.weight_decay * h.w, s), weight_decay=weight_decay)
    return plus if mask is None else only(plus, mask)


def chosen(mask: Mask, tree: PyTree[Any]) -> PyTree[Any]:
    """What a mask says of each array of a tree."""
    flags = mask(tree) if callable(mask) else mask
    return jax.tree.broadcast(True if flags is None else flags, tree)


def only(inner: Any, mask: Mask) -> Any:
    """The transformation where the mask says True and nothing elsewhere; the mask may be traced."""
    full = optax.with_extra_args_support(inner)

    def update(updates: Any, state: Any, params: Any = None, **extra: Any) -> tuple[Any, Any]:
        flags = chosen(mask, updates if params is None else params)
        u, state = full.update(updates, state, params, **extra)
        return jax.tree.map(jnp.where, flags, u, updates), state

    return optax.GradientTransformationExtraArgs(inner.init, update)


def _reader(hyper: dict[str, Any], counts: bool) -> tuple[Callable[..., Any], bool]:
    """A function state.t -> (next t, numbers in a dtype), and whether steps are counted."""
    known = {name: checks.number(name, value) for name, value in hyper.items()}
    counts = counts or any(callable(value) for value in known.values())

    def read(t: Any) -> tuple[Any, Callable[..., Given]]:
        now = {name: value(t) if callable(value) else value for name, value in known.items()}
        after = None if t is None else t + 1
        if after is not None:
            now["t"] = after

        def at(dtype: Any, more: dict[str, Any]) -> Given:
            numbers = {name: _cast(value, dtype) for name, value in now.items()}
            if "eps" in numbers:
                numbers["eps"] = above_zero(numbers["eps"], dtype)
            return Given(**numbers, count=after, **more)

        return after, at

    return read, counts


def _cast(value: Any, dtype: Any) -> Any:
    """A number in the working dtype, a Python number (weakly typed) rounded to it; flags as is."""
    if isinstance(value, float):
        with np.errstate(over="ignore"):  # to infinity, as XLA does
            return float(np.asarray(value).astype(dtype))
    is_number = isinstance(value, jax.Array) and value.ndim == 0 and value.dtype != jnp.bool_
    return value.astype(dtype) if is_number else value


def _zero(counts: bool) -> Int[Array, ""] | None:
    return jnp.zeros((), jnp.int32) if counts else None


def _wide_dtype(x: Any) -> Any:
    return x.dtype if jnp.finfo(x.dtype).bits >= 32 else jnp.dtype(jnp.float32)


def _wide(x: Any) -> Any:
    return x.astype(_wide_dtype(x))


def _widest(tree: PyTree[Any]) -> Any:
    dtypes = [_wide_dtype(x) for x in jax.tree.leaves(tree)]
    return max(dtypes, key=lambda d: jnp.finfo(d).bits, default=jnp.dtype(jnp.float32))


def _common(tree: PyTree[Any], dtype: Any) -> PyTree[Any]:
    return jax.tree.map(lambda x: x.astype(dtype), tree)
