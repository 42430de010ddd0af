"""nnlab.data: splits, scaling, checks and fingerprints, without any file."""

import json
import subprocess
import sys

import numpy as np
import pytest
from data_cases import fails
from sklearn.datasets import load_digits

from nnlab.data import DATASETS, SCALINGS, from_arrays, load
from nnlab.data.arrays import permutation


def blobs(n=100, shape=(3,), classes=4, seed=0):
    rng = np.random.default_rng(seed)
    return rng.normal(2.0, 3.0, (n, *shape)), np.arange(n) % classes


def numbered(n=100):
    """Examples that carry their own number, so that a split can be read off."""
    return np.arange(n, dtype=np.float32)[:, None], np.zeros(n, int)


def parts(data):
    return [part.x.ravel().astype(int).tolist() for part in (data.train, data.valid, data.test)]


# Importing


def test_importing_the_data_layer_imports_no_heavy_library_and_starts_no_device():
    code = (
        "import sys, json, nnlab.data; "
        "heavy = ['tensorflow_datasets', 'sklearn', 'matplotlib', 'requests', 'tensorflow']; "
        "found = [name for name in heavy if name in sys.modules]; "
        "bridge = sys.modules.get('jax._src.xla_bridge'); "
        "print(json.dumps([found, bool(bridge and bridge._backends)]))"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert json.loads(out.stdout) == [[], False]


# Digits


def test_digits_are_split_1257_270_270_and_keep_their_pixels():
    data = load()
    assert [len(part.y) for part in (data.train, data.valid, data.test)] == [1257, 270, 270]
    assert (data.name, data.classes, data.shape) == ("digits", 10, (8, 8, 1))
    assert (data.train.x.dtype, data.train.y.dtype) == (np.uint8, np.int32)
    assert data.train.x.max() == 16


def test_the_three_parts_of_digits_are_all_of_its_images_once():
    data = load("digits")
    bunch = load_digits()
    ours = [
        (*x.ravel().tolist(), int(y))
        for part in (data.train, data.valid, data.test)
        for x, y in zip(part.x, part.y, strict=True)
    ]
    theirs = [
        (*map(int, x.ravel()), int(y)) for x, y in zip(bunch.images, bunch.target, strict=True)
    ]
    assert sorted(ours) == sorted(theirs)


def test_digits_are_the_same_in_every_process_and_release():
    code = "from nnlab.data import load; print(load('digits', scaling='none').fingerprint())"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == load("digits", scaling="none").fingerprint() == "0d1bc5d608493317"


def test_the_description_says_sizes_split_rule_and_scaling_in_one_line():
    text = load("digits", scaling="unit").description
    assert "\n" not in text
    for word in ("1,257 train", "270 validation", "270 test", "8x8x1", "10 classes", "seed 0"):
        assert word in text
    assert "* 0.0625 (unit scaling)" in text
    assert text in repr(load("digits", scaling="unit"))


def test_every_listed_data_set_is_described_in_one_line():
    assert list(DATASETS) == ["digits", "mnist", "fashion_mnist", "kmnist"]
    assert all(text and "\n" not in text for text in DATASETS.values())


def test_limit_keeps_the_first_training_examples_and_leaves_the_other_parts():
    whole, few = load("digits"), load("digits", limit=300)
    np.testing.assert_array_equal(few.train.x, whole.train.x[:300])
    np.testing.assert_array_equal(few.valid.x, whole.valid.x)
    np.testing.assert_array_equal(few.test.y, whole.test.y)
    assert few.offset == np.float32(few.train.x.mean(dtype=np.float64))


def test_validation_of_digits_is_a_count_or_a_fraction_of_what_is_not_test():
    assert len(load("digits", validation=100).valid.y) == 100
    assert len(load("digits", validation=0.5).valid.y) == round(0.5 * (1797 - 270))
    np.testing.assert_array_equal(load("digits", validation=100).test.x, load("digits").test.x)


# Scaling


def scaled(data, part):
    return (part.x.astype(np.float64) - data.offset) * data.scale


def test_no_scaling_leaves_the_values_and_unit_scaling_divides_by_the_formats_maximum():
    data = load("digits", scaling="none")
    assert (data.offset, data.scale) == (0, 1)
    assert load("digits", scaling="unit").scale == np.float32(1 / 16)
    x, y = blobs()
    assert from_arrays(x.astype(np.uint8), y, scaling="unit").scale == np.float32(1 / 255)
    floats = from_arrays(x, y, scaling="unit")
    assert np.abs(scaled(floats, floats.train)).max() == pytest.approx(1, rel=1e-6)


def test_standard_scaling_gives_the_training_part_mean_zero_and_deviation_one():
    x, y = blobs(5000, (2, 3))
    data = from_arrays(x * [1, 10, 100], y, scaling="standard")
    z = scaled(data, data.train)
    assert data.offset.shape == data.scale.shape == ()
    assert (z.mean(), z.std()) == pytest.approx((0, 1), abs=1e-6)


def test_feature_scaling_gives_each_feature_mean_zero_and_deviation_one():
    x, y = blobs(9000, (2, 3))
    data = from_arrays(x * [1, 10, 100], y, scaling="feature")
    z = scaled(data, data.train)
    assert data.offset.shape == data.scale.shape == data.shape
    np.testing.assert_allclose(z.mean(0), 0, atol=1e-6)
    np.testing.assert_allclose(z.std(0), 1, rtol=1e-6)


def test_a_feature_that_never_varies_becomes_zero_not_infinity():
    x, y = blobs()
    x[:, 1] = 0.1
    data = from_arrays(x, y, scaling="feature")
    assert data.scale[1] == 1
    np.testing.assert_allclose(scaled(data, data.train)[:, 1], 0, atol=1e-7)
    still = from_arrays(np.full((100, 3), 0.1), y, scaling="standard")
    assert still.scale == 1
    assert from_arrays(np.zeros((100, 3)), y, scaling="unit").scale == 1


@pytest.mark.parametrize("scaling", SCALINGS)
def test_statistics_come_from_the_training_part_only(scaling):
    x, y = blobs()
    pair = x[:20], y[:20]
    strange = pair[0] * 1000 + 5, pair[1]
    plain = from_arrays(x, y, test=pair, validation=pair, scaling=scaling)
    other = from_arrays(x, y, test=strange, validation=strange, scaling=scaling)
    np.testing.assert_array_equal(plain.offset, other.offset)
    np.testing.assert_array_equal(plain.scale, other.scale)
    assert plain.offset.dtype == plain.scale.dtype == np.float32


@pytest.mark.parametrize("scaling", SCALINGS)
def test_offset_and_scale_broadcast_to_one_example(scaling):
    data = load("digits", scaling=scaling)
    assert ((data.train.x[0] - data.offset) * data.scale).shape == data.shape


def test_values_too_close_together_for_float32_are_refused():
    x = np.zeros((100, 1), np.float32)
    x[0] = 1e-45
    fails(lambda: from_arrays(x, x[:, 0], test=x_pair(x), validation=x_pair(x)), "too little")


def x_pair(x):
    return x[:5], x[:5, 0]


# Splitting arrays


def test_the_parts_are_disjoint_and_together_everything():
    train, valid, test = parts(from_arrays(*numbered(), test=0.2, validation=30))
    assert (len(train), len(valid), len(test)) == (50, 30, 20)
    assert sorted(train + valid + test) == list(range(100))


def test_the_seed_alone_decides_the_split():
    first, again, other = (parts(from_arrays(*numbered(), seed=seed)) for seed in (1, 1, 2))
    assert first == again
    assert first != other


def test_the_split_is_a_shuffle():
    train, valid, test = parts(from_arrays(*numbered(1000), test=100, validation=100))
    assert train != sorted(train)
    for part in (valid, test):
        assert np.mean(part) == pytest.approx(499.5, abs=5 * 289 / np.sqrt(100))


def test_the_permutation_is_pinned():
    assert permutation(8, seed=0).tolist() == [3, 2, 1, 6, 0, 7, 4, 5]
    assert sorted(permutation(1000, seed=3).tolist()) == list(range(1000))


def test_given_parts_are_kept_as_given():
    x, y = blobs(50)
    tx, ty = blobs(20, seed=1)
    vx, vy = blobs(12, seed=2)
    data = from_arrays(x, y, test=(tx, ty), validation=(vx, vy))
    for part, values in ((data.train, x), (data.valid, vx), (data.test, tx)):
        np.testing.assert_array_equal(part.x, values.astype(np.float32))
    np.testing.assert_array_equal(data.test.y, ty)
    assert "parts as given" in data.description
    half = from_arrays(x, y, test=(tx, ty), validation=10)
    assert (len(half.train.x), len(half.valid.x), len(half.test.x)) == (40, 10, 20)


def test_the_data_set_cannot_be_changed_and_does_not_follow_its_source():
    x, y = blobs()
    data = from_arrays(x, y, test=(x, y), validation=(x, y), scaling="none")
    x[:] = 7
    assert not (data.train.x == 7).any()
    for values in (*data.train, *data.valid, *data.test, data.offset, data.scale):
        assert not values.flags.writeable


def test_integer_targets_are_classes_and_float_targets_a_regression():
    x, y = blobs()
    assert (from_arrays(x, y).classes, from_arrays(x, y).train.y.dtype) == (4, np.int32)
    assert from_arrays(x, y % 2 == 0).classes == 2
    regression = from_arrays(x, y.astype(np.float64))
    assert (regression.classes, regression.train.y.dtype) == (0, np.float32)
    assert "regression" in regression.description
    assert from_arrays(x, x).train.y.shape == (70, 3)


def test_images_stay_uint8_and_other_numbers_become_float32():
    x, y = blobs()
    for dtype, stored in (
        (np.uint8, np.uint8), (np.int64, np.float32), (np.float64, np.float32), (bool, np.float32)
    ):  # fmt: skip
        assert from_arrays(x.astype(dtype), y).test.x.dtype == stored
    assert from_arrays(x.tolist(), y.tolist()).test.x.dtype == np.float32


def test_given_classes_allow_labels_that_do_not_occur():
    x, y = blobs()
    assert from_arrays(x, y * 2, classes=9).classes == 9


# Fingerprints


def test_equal_data_have_equal_fingerprints_whatever_their_name():
    x, y = blobs()
    one, two = from_arrays(x, y, name="one"), from_arrays(x.copy(), y.copy(), name="two")
    assert one.fingerprint() == two.fingerprint()
    assert len(one.fingerprint()) == 16
    assert int(one.fingerprint(), 16) >= 0


def test_any_change_of_values_labels_parts_or_scaling_changes_the_fingerprint():
    x, y = blobs()
    changed = x.copy()
    changed[5, 1] += 1e-3
    relabelled = y.copy()
    relabelled[0] = 3
    sets = [
        from_arrays(x, y),
        from_arrays(changed, y),
        from_arrays(x, relabelled),
        from_arrays(x, y, seed=1),
        from_arrays(x, y, validation=0.2),
        from_arrays(x, y, scaling="standard"),
        from_arrays(x, y, classes=5),
        from_arrays(x, y.astype(float)),
        from_arrays(x[:, :, None], y),
    ]
    assert len({data.fingerprint() for data in sets}) == len(sets)


# Errors

X, Y = blobs()
NAN = X.copy()
NAN[3, 1] = np.nan
HUGE = X.copy()
HUGE[9, 0] = 1e60

WRONG = {
    "lengths": (lambda: from_arrays(X, Y[:-1]), ["100 examples", "99"]),
    "empty": (lambda: from_arrays(X[:0], Y[:0]), ["x has shape (0, 3)"]),
    "no features": (lambda: from_arrays(X[:, :0], Y), ["(100, 0)"]),
    "flat x": (lambda: from_arrays(X[:, 0], Y), ["x[:, None]"]),
    "scalar y": (lambda: from_arrays(X, 3), ["y has shape ()"]),
    "nan": (lambda: from_arrays(NAN, Y), ["not finite", "[3, 1]"]),
    "nan target": (lambda: from_arrays(X, NAN[:, 1]), ["y has 1 values", "[3]"]),
    "overflow": (lambda: from_arrays(HUGE, Y), ["1e+60", "[9, 0]"]),
    "text": (lambda: from_arrays(X.astype(str), Y), ["real numbers"]),
    "complex": (lambda: from_arrays(X + 0j, Y), ["complex128"]),
    "ragged": (lambda: from_arrays([[1, 2], [3]], [0, 1]), ["rectangular"]),
    "one-hot": (lambda: from_arrays(X, np.eye(4, dtype=int)[Y]), ["argmax"]),
    "negative label": (lambda: from_arrays(X, Y - 1), ["from -1 to 2", "np.unique"]),
    "labels from 1": (lambda: from_arrays(X, Y + 1), ["label 0 does not occur", "classes=5"]),
    "gap": (lambda: from_arrays(X, Y * 2), ["label 1 does not occur", "classes=7"]),
    "few classes": (lambda: from_arrays(X, Y, classes=3), ["label 3", "classes=4"]),
    "float classes": (lambda: from_arrays(X, X[:, 0], classes=3), ["regression", "astype(int)"]),
    "scaling": (lambda: from_arrays(X, Y, scaling="standart"), ["did you mean 'standard'"]),
    "load scaling": (lambda: load(scaling="featur"), ["did you mean 'feature'"]),
    "fraction 1": (lambda: from_arrays(X, Y, test=1.0), ["test=1.0", "between 0 and 1"]),
    "no validation": (lambda: from_arrays(X, Y, validation=0), ["validation=0"]),
    "negative": (lambda: from_arrays(X, Y, validation=-3), ["validation=-3"]),
    "nan fraction": (lambda: from_arrays(X, Y, test=float("nan")), ["test=nan"]),
    "all taken": (lambda: from_arrays(X, Y, test=50, validation=50), ["none to train on"]),
    "no pair": (lambda: from_arrays(X, Y, test=None), ["test is a NoneType", "try test=0.15"]),
    "triple": (lambda: from_arrays(X, Y, test=(X, Y, Y)), ["(x, y) pair"]),
    "test shape": (lambda: from_arrays(X, Y, test=(X[:, :2], Y)), ["test x", "(2,)", "(3,)"]),
    "test dtype": (lambda: from_arrays(X, Y, test=(X.astype(np.uint8), Y)), ["uint8", "float32"]),
    "test task": (lambda: from_arrays(X, Y, test=(X, Y * 1.0)), ["test y", "float32", "int32"]),
    "limit 0": (lambda: load(limit=0), ["limit=0", "1,257"]),
    "limit": (lambda: load(limit=2000), ["limit=2000", "1 to 1,257"]),
    "validation": (lambda: load(validation=1527), ["validation=1527", "1 to 1,526"]),
}


@pytest.mark.parametrize(("call", "words"), WRONG.values(), ids=WRONG)
def test_what_is_wrong_is_said_in_one_line(call, words):
    fails(call, *words)


def test_more_classes_than_half_the_examples_are_taken_for_numbers_unless_they_are_said():
    x = np.random.default_rng(0).normal(size=(600, 2))
    words = ["600 classes of 600 examples", "y.astype(float)", "classes=600"]
    fails(lambda: from_arrays(x, np.arange(600)), *words)
    fails(lambda: from_arrays(x, np.arange(600) % 301), "301 classes of 600 examples")
    assert from_arrays(x, np.arange(600) % 300).classes == 300
    assert from_arrays(x, np.arange(600), classes=600).classes == 600
    assert from_arrays(x, np.arange(600.0)).classes == 0


def test_a_data_sets_name_is_text():
    fails(lambda: load(3), "needs the name of a data set, got int", "'digits'", "from_arrays")
