"""Every number and switch of every optimizer may be an array: lifted = separate, and = optax's."""

import inspect

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from nnlab.optim import OPTIMIZERS
from nnlab.optim.core import Mask
from nnlab.parity import PLAIN
from nnlab.parity.case import SPANS, construct, flags_of, numbers_of, told
from nnlab.parity.compare import quick
from nnlab.parity.problems import PROBLEMS
from nnlab.types import PRNGKey

every_optimizer = pytest.mark.parametrize("case", PLAIN.values(), ids=PLAIN)
LANES = 2


def lanes_of(case) -> dict[str, list]:
    """Two values of every argument that may vary from run to run; the rest must not."""
    rng, make, lanes = np.random.default_rng(0), OPTIMIZERS[case.name], {}
    numbers, flags = numbers_of(make), flags_of(make)
    for k, (name, p) in enumerate(inspect.signature(make).parameters.items()):
        if name in numbers:
            span = case.spans.get(name, SPANS[name])
            lanes[name] = [float(x) for x in rng.uniform(span.low, span.high, LANES)]
        elif name in flags:
            lanes[name] = [k % 2 == 0, k % 2 == 1]
        else:
            fixed = p.annotation in (int, bool, PRNGKey) or p.annotation == Mask
            assert fixed, f"{name} of {case.name}: say in its annotation whether it may vary"
    return lanes


@every_optimizer
def test_vmapped_numbers_and_switches_match_separate_runs(case) -> None:
    problem, lanes = PROBLEMS["mixed"], lanes_of(case)
    with jax.enable_x64(True):
        w = problem.begin(jnp.float64)
        value, g = jax.value_and_grad(problem.loss)(w)

        def two_steps(arguments):
            tx = optax.with_extra_args_support(construct(case.name, **arguments))
            seen, state, path = told(case.name, problem.loss, value, g), tx.init(w), []
            for k in range(2):
                u, state = tx.update(jax.tree.map(lambda x, k=k: 0.5**k * x, g), state, w, **seen)
                path.append(u)
            return path

        together = {name: jnp.asarray(x) for name, x in lanes.items()}
        lifted = jax.jit(jax.vmap(two_steps), compiler_options=quick())(together)
        mine = [{name: x[k] for name, x in lanes.items()} for k in range(LANES)]
        alone = jax.jit(lambda: [two_steps(x) for x in mine], compiler_options=quick())()
    for k in range(LANES):
        for a, b in zip(jax.tree.leaves(alone[k]), jax.tree.leaves(lifted), strict=True):
            np.testing.assert_allclose(b[k], a, rtol=1e-9, atol=1e-12 * np.abs(a).max())
