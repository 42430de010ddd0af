"""Every optimizer of the table proves the same theorems, on the rows of optim_cases."""

import functools
import inspect

import hypothesis
import hypothesis.strategies as st
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from optim_cases import CASES, PROBLEMS, Case, begin, lenient, lock_step, told

from nnlab.optim import OPTIMIZERS

STEPS = 200
QUICK = {"xla_backend_optimization_level": 0}
every_case = pytest.mark.parametrize("case", CASES.values(), ids=CASES)
firsts = {case.name: case for case in reversed(CASES.values())}
every_optimizer = pytest.mark.parametrize("case", firsts.values(), ids=firsts)
compared = {name: case for name, case in CASES.items() if case.reference is not None}
every_compared_case = pytest.mark.parametrize("case", compared.values(), ids=compared)


@functools.cache
def both(case: Case):
    """One program: our updates and the reference's on the four problems."""

    def run(numbers):
        with lenient():
            theirs = case.reference(**numbers)
        ours = case.ours(**numbers)
        return {
            name: lock_step(
                case.name, ours, theirs, PROBLEMS[name], begin(PROBLEMS[name], case.dtype), STEPS
            )
            for name in case.problems
        }

    return jax.jit(run, compiler_options=QUICK)


def assert_same_path(case: Case, numbers: dict[str, float]) -> None:
    with jax.enable_x64(case.dtype == "float64"):
        pairs = both(case)({name: jnp.asarray(x, case.dtype) for name, x in numbers.items()})
    for name, (ours, theirs) in pairs.items():
        for a, b in zip(jax.tree.leaves(ours), jax.tree.leaves(theirs), strict=True):
            assert np.all(np.isfinite(b)), f"{name}: the reference diverged, nothing is compared"
            atol = case.rtol * np.abs(b).max()
            np.testing.assert_allclose(a, b, rtol=case.rtol, atol=atol, err_msg=name)


@every_compared_case
def test_path_equals_the_reference_for_two_hundred_steps(case: Case) -> None:
    assert_same_path(case, case.defaults())


@every_compared_case
def test_path_equals_the_reference_for_drawn_hyperparameters(case: Case) -> None:
    @hypothesis.settings(
        max_examples=5, deadline=None, derandomize=True, database=None,
        phases=[hypothesis.Phase.generate],
    )  # fmt: skip
    @hypothesis.given(
        st.fixed_dictionaries({n: st.floats(s.low, s.high) for n, s in case.numbers.items()})
    )
    def check(numbers):
        assert_same_path(case, numbers)

    check()


@functools.cache
def at_start(problem: str, dtype):
    w = begin(PROBLEMS[problem], dtype)
    return w, *jax.jit(jax.value_and_grad(PROBLEMS[problem].loss))(w)


def situation(case: Case, dtype):
    """Weights, a gradient and what else update is told, at the start of one problem."""
    name = case.problems[-1]
    w, value, g = at_start(name, dtype)
    return w, g, told(case.name, PROBLEMS[name].loss, value, g)


def kinds(tree):
    return jax.tree.map(lambda x: (x.shape, x.dtype, x.weak_type), tree)


@every_optimizer
@pytest.mark.parametrize(
    "dtype", [jnp.bfloat16, jnp.float32, jnp.float64], ids=lambda d: d.__name__
)
def test_state_keeps_its_types_so_one_program_serves_every_step(case: Case, dtype) -> None:
    with jax.enable_x64(dtype == jnp.float64):
        w, g, seen = situation(case, dtype)
        tx = optax.with_extra_args_support(case.ours(**case.defaults()))
        state = jax.eval_shape(tx.init, w)
        u, after = jax.eval_shape(lambda g, s, w: tx.update(g, s, w, **seen), g, state, w)
    assert kinds(state) == kinds(after)
    assert jax.tree.map(lambda x: (x.shape, x.dtype), u) == jax.tree.map(
        lambda x: (x.shape, x.dtype), w
    )


def drawn(case: Case, rng: np.random.Generator) -> dict[str, jax.Array]:
    """Three lanes of hyperparameters, the first the defaults."""
    return {
        name: jnp.asarray([s.default, *rng.uniform(s.low, s.high, 2)], jnp.float32)
        for name, s in case.numbers.items()
    }


@every_optimizer
def test_vmapped_hyperparameters_match_separate_runs(case: Case) -> None:
    w, g, seen = situation(case, jnp.float32)
    lanes = drawn(case, np.random.default_rng(0))

    def two_steps(numbers):
        tx = optax.with_extra_args_support(case.ours(**numbers))
        first, state = tx.update(g, tx.init(w), w, **seen)
        half = jax.tree.map(lambda x: 0.5 * x, g)
        return first, tx.update(half, state, w, **seen)[0]

    lifted = jax.jit(jax.vmap(two_steps), compiler_options=QUICK)(lanes)
    alone = jax.jit(two_steps, compiler_options=QUICK)
    for k in range(3):
        one = alone({name: x[k] for name, x in lanes.items()})
        for a, b in zip(jax.tree.leaves(one), jax.tree.leaves(lifted), strict=True):
            np.testing.assert_allclose(a, b[k], rtol=1e-4, atol=1e-5 * np.abs(a).max() + 1e-12)


@every_optimizer
def test_update_is_the_same_inside_chain_masked_and_multisteps(case: Case) -> None:
    w, g, seen = situation(case, jnp.float32)
    tx = optax.with_extra_args_support(case.ours(**case.defaults()))
    masked = optax.masked(tx, jax.tree.map(lambda _: True, w))
    patient = optax.MultiSteps(tx, 2)

    def updates(g):
        once = [t.update(g, t.init(w), w, **seen)[0] for t in (tx, optax.chain(tx), masked)]
        with lenient():
            rest, state = patient.update(g, patient.init(w), w, **seen)
            return *once, patient.update(g, state, w, **seen)[0], rest

    plain, *wrapped, rest = jax.jit(updates, compiler_options=QUICK)(g)
    assert all(np.all(np.asarray(x) == 0) for x in jax.tree.leaves(rest))
    for u in wrapped:
        for a, b in zip(jax.tree.leaves(u), jax.tree.leaves(plain), strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5 * np.abs(b).max() + 1e-12)


def test_every_optimizer_of_the_table_has_a_row() -> None:
    assert {case.name for case in CASES.values()} == set(OPTIMIZERS)


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_docstring_begins_with_one_sentence_for_the_listing(name: str) -> None:
    first = inspect.getdoc(OPTIMIZERS[name]).splitlines()[0]
    assert 30 <= len(first) <= 100, first
