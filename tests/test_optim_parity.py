"""Every optimizer follows optax's path, on the rows of nnlab.parity; each says whose idea it is."""

import dataclasses
import inspect

import hypothesis
import hypothesis.strategies as st
import jax
import jax.numpy as jnp
import optax
import pytest
import typer
from optax import contrib
from typer.testing import CliRunner

from nnlab.cli.parity import parity
from nnlab.errors import UsageError
from nnlab.optim import OPTIMIZERS, private, schedule_free, wrappers
from nnlab.parity import CASES, PLAIN, Row, rows, table
from nnlab.parity.case import SPANS, numbers_of
from nnlab.parity.compare import differences, lenient, quick, side_by_side
from nnlab.parity.problems import PROBLEMS
from nnlab.parity.proof import paper

compared = {label: case for label, case in CASES.items() if case.reference is not None}
every_compared_case = pytest.mark.parametrize("case", compared.values(), ids=compared)


@every_compared_case
def test_two_hundred_steps_from_the_defaults_end_where_optax_ends(case) -> None:
    for problem, distance in differences(case, lock_step=False).items():
        if problem not in case.unstable:
            assert distance <= case.rtol, f"{problem}: {distance:.1e}"


@every_compared_case
def test_two_hundred_updates_equal_optaxs_at_defaults_and_drawn_numbers(case) -> None:
    @hypothesis.settings(
        max_examples=4, deadline=None, derandomize=True, database=None,
        phases=[hypothesis.Phase.explicit, hypothesis.Phase.generate],
    )  # fmt: skip
    @hypothesis.given(
        st.fixed_dictionaries({n: st.floats(s.low, s.high) for n, s in case.numbers.items()})
    )
    @hypothesis.example(case.defaults)
    def check(numbers):
        for problem, distance in differences(case, numbers, lock_step=True).items():
            assert distance <= case.rtol, f"{problem}: {distance:.1e} with {numbers}"

    check()


def test_every_optimizer_has_a_row_and_every_number_a_range() -> None:
    assert set(PLAIN) == set(OPTIMIZERS)
    assert {case.name for case in CASES.values()} == set(OPTIMIZERS)
    assert {n for f in OPTIMIZERS.values() for n in numbers_of(f)} == set(SPANS)


def test_a_looser_tolerance_has_a_reason_beside_it() -> None:
    assert all(case.reason for case in CASES.values() if case.rtol != 1e-10 or case.on)


OURS = OPTIMIZERS | {
    "optimistic_adam_v2": OPTIMIZERS["optimistic_adam"],
    "dpsgd": private.dpsgd,
    "mechanize": wrappers.mechanize,
    "reduce_on_plateau": wrappers.reduce_on_plateau,
    "sam": wrappers.sam,
    "schedule_free": schedule_free.schedule_free,
}
ALIASES = [
    "adabelief", "adadelta", "adafactor", "adagrad", "adam", "adamax", "adamaxw", "adamw", "adan",
    "amsgrad", "fromage", "lamb", "lars", "lbfgs", "lion", "nadam", "nadamw", "noisy_sgd",
    "novograd", "optimistic_adam", "optimistic_adam_v2", "optimistic_gradient_descent",
    "polyak_sgd", "radam", "rmsprop", "rprop", "sgd", "sign_sgd", "signum", "sm3", "yogi",
]  # fmt: skip
CONTRIB = [
    "acprop", "ademamix", "simplified_ademamix", "adopt", "cocob", "dadapt_adamw", "dog", "dowg",
    "dpsgd", "galore", "madgrad", "mechanize", "momo", "momo_adam", "muon", "prodigy",
    "reduce_on_plateau", "sam", "schedule_free", "schedule_free_adamw", "schedule_free_sgd",
    "sophia",
]  # fmt: skip


@pytest.mark.parametrize("name", [*ALIASES, *CONTRIB])
def test_every_optimizer_of_optax_has_its_counterpart(name: str) -> None:
    assert callable(getattr(optax if name in ALIASES else contrib, name))
    assert callable(OURS[name])


def test_the_rows_compare_with_nothing_but_those() -> None:
    known = {getattr(optax, name) for name in ALIASES} | {getattr(contrib, n) for n in CONTRIB}
    own = {case.reference for case in compared.values() if case.reference not in known}
    assert {make.__name__ for make in own} == {
        "asynchronous_belief", "dadapt_adamw", "dog", "dowg", "first_optimistic_adam", "momo",
        "momo_adam", "prodigy", "prompt_rprop", "quiet_sgd",
    }  # fmt: skip


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_docstring_begins_with_one_sentence_and_names_its_paper(name: str) -> None:
    text = inspect.getdoc(OPTIMIZERS[name])
    assert 30 <= len(text.splitlines()[0]) <= 100
    authors, year = paper(name)[:-7], paper(name)[-6:]
    assert f"Source: {authors}" in " ".join(text.split())
    assert year in text
    assert 1950 <= int(year[1:-1]) <= 2026


@pytest.mark.parametrize(
    "case", [c for c in PLAIN.values() if c in compared.values()], ids=lambda c: c.label
)
def test_a_default_other_than_optaxs_is_said_in_the_docstring(case) -> None:
    theirs = inspect.signature(case.reference).parameters
    for name, p in inspect.signature(OPTIMIZERS[case.name]).parameters.items():
        other = theirs.get(case.word(name), p).default
        both_tell = isinstance(p.default, int | float) and isinstance(other, int | float)
        if both_tell and case.word(name) not in case.theirs and p.default != other:
            assert "optax" in inspect.getdoc(OPTIMIZERS[case.name]), f"{name}: {other} in optax"


FLOAT32 = 3e-5
"""A last bit of float32 is 6e-8; a sum or a difference of weights of size 1 makes it this much."""
LOST_BY_OPTAX = {"radam": 2e-4, "schedule_free_adamw": 4e-4}
"""In float32 optax's 1 - beta2^t has lost digits: 3e-6 of every early step, which one sums, and
2e-3 of the other's first rectified one.  nnlab keeps them, see test_optim_corners."""


@pytest.mark.parametrize(
    "case", [case for case in compared.values() if not case.variant], ids=lambda c: c.label
)
def test_float32_updates_equal_those_of_optax_with_injected_hyperparameters(case) -> None:
    case, problem = dataclasses.replace(case, dtype="float32"), case.problems[-1]
    numbers = {name: jnp.float32(x) for name, x in case.defaults.items()}
    with lenient():
        theirs = case.injected(**numbers)
    ours = case.optimizer(**numbers)
    run = jax.jit(
        lambda: side_by_side(case, ours, theirs, PROBLEMS[problem], lock_step=True, steps=50),
        compiler_options=quick(),
    )
    assert jax.device_get(run()).relative() <= LOST_BY_OPTAX.get(case.name, FLOAT32)


def test_an_optimizer_is_measured_against_gradient_descent() -> None:
    sgd, adam, ftrl = table(["sgd", "adam", "ftrl"])
    assert (adam.paper, adam.steps) == ("Kingma and Ba (2015)", 200)
    assert adam.difference is not None
    assert adam.proved
    assert adam.difference < adam.tolerance == 1e-10
    assert ftrl.difference is None
    assert sgd.state_bytes_per_parameter == 0
    assert 8 <= adam.state_bytes_per_parameter < 8.001
    assert 0 < sgd.update_cost < adam.update_cost


def test_the_callers_precision_is_left_alone() -> None:
    table(["sgd"])
    assert jnp.zeros(1).dtype == jnp.float32


def test_an_unknown_optimizer_is_answered_at_once_with_the_nearest_name() -> None:
    with pytest.raises(UsageError, match="did you mean 'adam'"):
        rows(["adamv"])


@pytest.mark.parametrize(("far", "status"), [(1e-16, 0), (1e-3, 1)])
def test_the_command_prints_the_table_and_fails_if_a_path_differs(
    far: float, status: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    row = Row("adam", "Kingma (2015)", far, 1e-10, "", 200, ("network",), 8.0, 3.0)
    monkeypatch.setattr("nnlab.parity.proof.rows", lambda names: iter([row]))
    app = typer.Typer()
    app.command()(parity)
    answer = CliRunner().invoke(app, ["adam"])
    assert answer.exit_code == status
    assert "Kingma" in answer.output
    assert f"{far:.0e}" in answer.output
