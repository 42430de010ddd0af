"""Names, arguments and functions become choices."""

import jax
import optax
import pytest

from nnlab import UsageError
from nnlab.nn.activations import ACTIVATIONS
from nnlab.nn.initializers import INITIALIZERS
from nnlab.sweeps.choices import OTHER_NAMES, TABLES, hyperparameters, parse, resolve


@pytest.mark.parametrize(
    ("text", "numbers"),
    [
        ("normal", {}),
        ("normal()", {}),
        ("normal(0.01)", {"std": 0.01}),
        ("normal:0.01", {"std": 0.01}),
        ("normal(std=0.01)", {"std": 0.01}),
        (" normal( 0.01 , mean = 2 ) ", {"std": 0.01, "mean": 2.0}),
        ("normal:mean=2:0.01", {"mean": 2.0, "std": 0.01}),
    ],
)
def test_every_way_to_write_arguments_says_the_same(text, numbers):
    choice = resolve("init", text)
    assert choice.function is INITIALIZERS["normal"]
    assert dict(choice.numbers) == numbers
    assert choice.label == text.strip()


def test_structural_arguments_decide_the_program_and_numbers_do_not():
    assert resolve("activation", "maxout(2)").branch != resolve("activation", "maxout(3)").branch
    assert dict(resolve("activation", "maxout(3)").static) == {"pieces": 3}
    small, large = (
        resolve("activation", "leaky_relu(0.1)"),
        resolve("activation", "leaky_relu(0.3)"),
    )
    assert small.branch == large.branch
    assert small.numbers != large.numbers


def test_a_flag_is_read_as_a_flag():
    (given,) = resolve("optimizer", "momentum(nesterov=true)").numbers
    assert given == ("nesterov", True)
    assert given[1] is True


def test_a_bare_number_of_an_optimizer_is_never_its_learning_rate():
    assert dict(resolve("optimizer", "momentum:0.8").numbers) == {"momentum": 0.8}
    assert dict(resolve("optimizer", "sgd(learning_rate=0.8)").numbers) == {"learning_rate": 0.8}


def test_a_label_names_a_function_or_another_spelling():
    choice = resolve("activation", {"mine": jax.numpy.sin})
    assert (choice.label, choice.function) == ("mine", jax.numpy.sin)
    choice = resolve("init", {"small": "normal(0.01)"})
    assert choice.label == "small"
    assert choice.branch == resolve("init", "normal(0.01)").branch
    assert resolve("init", choice) is choice


def test_a_function_is_its_own_choice_and_an_initializer_comes_ready():
    assert resolve("activation", jax.nn.gelu).function is jax.nn.gelu
    ready = jax.nn.initializers.he_normal()
    assert resolve("init", ready).function() is ready
    assert resolve("init", ready) == resolve("init", ready)


def test_an_optax_transformation_is_a_constructor_without_arguments():
    transformation = optax.sgd(0.1)
    choice = resolve("optimizer", transformation)
    assert choice.function() is transformation
    assert hyperparameters(choice.function, "optimizer") == {}


def test_hyperparameters_are_numbers_and_flags_not_data_masks_or_functions():
    assert "mu_dtype" not in hyperparameters(optax.adam, "optimizer")
    assert next(iter(hyperparameters(optax.sgd, "optimizer"))) == "learning_rate"
    assert next(iter(hyperparameters(ACTIVATIONS["leaky_relu"], "activation"))) != "x"
    assert hyperparameters(max, "activation") == {}


NEEDS_MORE = {
    "accumulate", "clip_adaptive", "clip_block_rms", "clip_norm", "clip_values", "elastic_net",
    "decoupled_weight_decay", "l1", "l2", "max_norm", "piecewise_constant", "piecewise_interpolate",
}  # fmt: skip


@pytest.mark.parametrize("kind", TABLES)
def test_every_name_in_a_table_is_a_choice(kind):
    for name, function in TABLES[kind].items():
        if name in NEEDS_MORE:
            with pytest.raises(UsageError, match=f"{name}.* needs"):
                resolve(kind, name)
            continue
        choice = resolve(kind, name)
        assert (choice.label, choice.function) == (name, function)
        assert choice.static == choice.numbers == ()


def test_a_sweep_can_give_every_optimizer_of_its_table_what_it_needs():
    for name, make in TABLES["optimizer"].items():
        known = hyperparameters(make, "optimizer").values()
        assert {p.name for p in known if p.default is p.empty} <= {"learning_rate"}, name


@pytest.mark.parametrize("text", ["", "3", "normal)", "normal(0.1", "a b", "normal(0.1))", "-"])
def test_what_cannot_be_read_is_refused_with_the_way_to_write_it(text):
    with pytest.raises(UsageError, match=r"write a name|does not fit|needs a number"):
        resolve("init", text)


@pytest.mark.parametrize(("kind", "name"), [("loss", "mse"), ("loss", "mae"), ("init", "kaiming")])
def test_a_name_that_others_use_gets_ours_as_a_hint(kind, name):
    assert OTHER_NAMES[name] in TABLES[kind]
    with pytest.raises(UsageError, match=f"did you mean '{OTHER_NAMES[name]}'"):
        parse(kind, name)


def test_an_optimizer_of_ones_own_is_told_how_the_rate_is_called():
    with pytest.raises(UsageError, match=r"needs lr, .* call its rate learning_rate"):
        resolve("optimizer", lambda lr: lr)
