"""Knobs, their values and labels."""

import jax.numpy as jnp
import numpy as np
import optax
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nnlab import UsageError, log_space
from nnlab.models import mlp
from nnlab.sweeps.axes import DEFAULTS, check_value, read_axes, values_of
from nnlab.sweeps.choices import TABLES, Choice
from nnlab.sweeps.labels import label, size_label

MODEL = mlp([4])


@given(
    low=st.floats(1e-6, 1.0),
    ratio=st.floats(1.5, 1e6),
    count=st.integers(2, 20),
)
def test_a_log_range_has_equal_ratios_and_its_ends(low, ratio, count):
    values = log_space(low, low * ratio, count)
    assert len(values) == count
    np.testing.assert_allclose(values[[0, -1]], [low, low * ratio], rtol=1e-5)
    np.testing.assert_allclose(values[1:] / values[:-1], ratio ** (1 / (count - 1)), rtol=3e-5)


def test_a_log_range_is_rounded_so_that_its_values_can_be_typed():
    assert log_space(1e-4, 1, 5).tolist() == [1e-4, 1e-3, 1e-2, 0.1, 1.0]
    assert log_space(1e-3, 1, 3).tolist() == [0.001, 0.0316228, 1.0]


@pytest.mark.parametrize(
    "values",
    [list, tuple, np.array, jnp.array, iter],
)
def test_any_sequence_of_numbers_is_an_axis(values):
    read = read_axes(MODEL, {"learning_rate": values([0.1, 0.2])})["learning_rate"]
    assert all(type(value) is float for value in read)
    np.testing.assert_allclose(read, [0.1, 0.2], rtol=1e-6)


def test_numbers_of_numpy_and_jax_are_numbers():
    for number in (np.float32(0.5), np.float64(0.5), jnp.float32(0.5), np.array(0.5), 0.5):
        assert check_value("learning_rate", number, MODEL) == 0.5
    assert check_value("batch_size", np.int64(7), MODEL) == 7
    assert check_value("batch_norm", np.bool_(True), MODEL) is True


def test_one_value_is_an_axis_of_one():
    assert values_of("init", "he") == ["he"]
    transformation = optax.sgd(0.1)
    assert values_of("optimizer", transformation) == [transformation]
    assert values_of("activation", {"a": jnp.sin, "b": jnp.cos}) == [{"a": jnp.sin}, {"b": jnp.cos}]


def test_axes_keep_the_order_they_were_given_in():
    axes = {"beta1": [0.8, 0.9], "seed": [0], "optimizer": ["adam"], "init": ["he"]}
    assert list(read_axes(MODEL, axes)) == list(axes)


def test_every_default_is_a_value_of_its_knob():
    for name, value in DEFAULTS.items():
        read = check_value(name, value, MODEL)
        assert label(read) == value
        assert isinstance(read, Choice) == (name in TABLES)


def test_a_hyperparameter_belongs_to_the_optimizers_of_the_sweep():
    axes = {"momentum": [0.5, 0.9], "optimizer": ["sgd", "momentum"]}
    assert read_axes(MODEL, axes)["momentum"] == [0.5, 0.9]
    with pytest.raises(
        UsageError, match="momentum does nothing for optimizer sgd, adam; it belongs"
    ):
        read_axes(MODEL, axes | {"optimizer": ["sgd", "adam"]})
    flag = {"nesterov": [False, True], "optimizer": ["momentum"]}
    assert read_axes(MODEL, flag)["nesterov"] == [False, True]


@given(st.lists(st.integers(1, 999), max_size=8))
def test_sizes_in_words_can_be_read_back(sizes):
    from nnlab.cli.words import sizes as read

    assert read("hidden", size_label(sizes)) == [tuple(sizes)]


def test_a_label_is_what_the_user_wrote():
    assert label(check_value("hidden", [100, 100, 50], MODEL)) == "2x100-50"
    assert label(check_value("hidden", [], MODEL)) == "linear"
    assert label(check_value("init", "normal( 0.1)", MODEL)) == "normal( 0.1)"
    assert label(0.1) == 0.1


def test_labels_say_the_same_tomorrow():
    """No memory address in a label: a sweep is continued by another process."""
    assert " at 0x" not in label(object())
