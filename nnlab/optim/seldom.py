"""Dear work that is due at few steps, for many runs at once.

Under vmap `jax.lax.cond` computes both branches wherever lanes decide for themselves: an eigenbasis
that is due every tenth step would be found at every one.  Here lanes branch together: where none is
due none computes, and where any is, each takes what it asked for.  Lanes of one optimizer count
their steps alike, so that the branch is a real one.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax.extend.core import Primitive
from jax.interpreters import batching, mlir

from nnlab import trees
from nnlab.types import Array, Bool


def where_due(due: Bool[Array, ""], work: Callable[[], Any], otherwise: Any) -> Any:
    """work() where it is due, else a tree of the same shapes: a branch under vmap, too."""

    def chosen() -> Any:
        return trees.map(lambda new, old: jnp.where(due, new, old), work(), otherwise)

    return jax.lax.cond(anywhere_p.bind(due), chosen, lambda: otherwise)


anywhere_p = Primitive("anywhere")
"""Whether a flag is up in any lane of every vmap around; alone, the flag."""


def _any_lane(operands: Any, axes: Any) -> tuple[Array, None]:
    (flags,), (axis,) = operands, axes
    return anywhere_p.bind(jnp.any(flags, axis)), None


anywhere_p.def_impl(lambda flag: flag)
anywhere_p.def_abstract_eval(lambda flag: flag)
mlir.register_lowering(anywhere_p, mlir.lower_fun(lambda flag: flag, multiple_results=False))
batching.primitive_batchers[anywhere_p] = _any_lane
