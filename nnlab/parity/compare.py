"""Two optimizers side by side for 200 steps: how far apart do they get?

In two ways.  In lock step both see the reference's weights and gradients, keep their own state, and
their updates are compared: nothing can amplify a rounding error.  Apart, each follows its own path,
and the weights are compared; near the edge of stability such paths are chaotic (a last bit grows to
the size of the weights), and `Case.unstable` names the problems on which that happens.
"""

import contextlib
from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

from nnlab import trees
from nnlab.parity.case import Case, told
from nnlab.parity.problems import PROBLEMS, Problem
from nnlab.types import Flag, Params

STEPS = 200


class Gap(NamedTuple):
    """The largest difference that each number has had along the path, and its largest size."""

    difference: Params
    size: Params

    def relative(self) -> float:
        """The largest difference, as a share of the largest number of its array; or NaN."""
        pairs = zip(jax.tree.leaves(self.difference), jax.tree.leaves(self.size), strict=True)
        tops = [(np.max(difference), np.max(size)) for difference, size in pairs]
        return float(np.max([top / size if top != 0 else top for top, size in tops]))


def differences(
    case: Case, numbers: Mapping[str, float] | None = None, *, lock_step: bool
) -> dict[str, float]:
    """The largest relative difference along the path, by problem; at the defaults or at `numbers`.

    Of the updates in lock step, else of the weights.  NaN where the reference is not finite.
    """
    with jax.enable_x64(case.dtype == "float64"):
        chosen = case.defaults if numbers is None else numbers
        traced = {name: jnp.asarray(x, case.dtype) for name, x in chosen.items()}
        gaps = jax.device_get(_program(case)(traced, jnp.asarray(lock_step)))
    return {problem: gaps[problem].relative() for problem in case.problems}


def distance(case: Case) -> float:
    """How far nnlab is from optax at the defaults: apart where that is stable, else together."""
    together, alone = (differences(case, lock_step=lock) for lock in (True, False))
    known = [(together if name in case.unstable else alone)[name] for name in case.problems]
    return float(np.max(known))


def side_by_side(
    case: Case, ours: Any, theirs: Any, problem: Problem, lock_step: Flag, steps: int = STEPS
) -> Gap:
    """The two optimizers on one problem, from the same weights."""
    ours, theirs = optax.with_extra_args_support(ours), optax.with_extra_args_support(theirs)
    look = jax.vmap(jax.value_and_grad(problem.loss))

    def step(_: Any, carry: Any) -> Any:
        x, a, w, b, gap = carry
        x = trees.map(lambda x, w: jnp.where(lock_step, w, x), x, w)
        both = look(trees.map(lambda *pair: jnp.stack(pair), x, w))
        (f, g), (value, slope) = (trees.map(lambda z, k=k: z[k], both) for k in (0, 1))
        u, a = ours.update(g, a, x, **told(case.name, problem.loss, f, g))
        with lenient():
            v, b = theirs.update(slope, b, w, **told(case.name, problem.loss, value, slope))
            x, w = optax.apply_updates(x, u), optax.apply_updates(w, v)
        here, there = (
            trees.map(lambda move, place: jnp.where(lock_step, move, place), *pair)
            for pair in ((u, x), (v, w))
        )
        gap = Gap(
            trees.map(lambda d, p, q: jnp.maximum(d, jnp.abs(p - q)), gap.difference, here, there),
            trees.map(lambda s, q: jnp.maximum(s, jnp.abs(q)), gap.size, there),
        )
        return x, a, w, b, gap

    w = problem.begin(case.dtype)
    with lenient():
        b = theirs.init(w)
    none = trees.zeros_like(w)
    return jax.lax.fori_loop(0, steps, step, (w, ours.init(w), w, b, Gap(none, none)))[-1]


@cache
def _program(case: Case) -> Any:
    """One program for all problems, draws and both ways of comparing."""

    def run(numbers: dict[str, Any], lock_step: Flag) -> dict[str, Gap]:
        with lenient():
            theirs = case.optax(**numbers)
        ours = case.optimizer(**numbers)
        return {
            name: side_by_side(case, ours, theirs, PROBLEMS[name], lock_step)
            for name in case.problems
        }

    return jax.jit(run, compiler_options=quick())


@contextlib.contextmanager
def lenient() -> Iterator[None]:
    """Allows optax to mix dtypes and ranks when its numbers are traced."""
    with jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
        yield


@cache
def quick() -> dict[str, Any]:
    """Compiler options for a program that runs once: less optimised, compiled three times faster.

    The emitters of fused loops are the slowest part of XLA's compiler for CPUs; where they cannot
    be switched off, at least not every operation becomes a fusion of its own.
    """
    least = {"xla_backend_optimization_level": 0, "xla_cpu_parallel_codegen_split_count": 1}
    plain = {"xla_cpu_use_fusion_emitters": False}
    for more in (plain, {"xla_disable_hlo_passes": "fusion-wrapper"}):
        try:
            jax.jit(lambda: 0, compiler_options=least | more)()
        except jax.errors.JaxRuntimeError:
            continue
        return least | more
    return {}
