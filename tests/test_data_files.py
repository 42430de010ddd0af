"""nnlab.data from IDX files and from the four original files of MNIST and its relatives.

Real MNIST and Fashion-MNIST are read where they lie beside the checkout; everything else uses
small files that the tests write.
"""

import gzip
from pathlib import Path

import numpy as np
import pytest
from data_cases import fails, idx_bytes, pretend_mnist, sha256

from nnlab.data import idx, load, originals

REAL = Path(__file__).parents[1].parent / "shared" / "data"
HISTOGRAMS = {
    "mnist": (
        [5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949],
        [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009],
    ),
    "fashion_mnist": ([6000] * 10, [1000] * 10),
}
MOMENTS = {"mnist": (0.1307, 0.3081), "fashion_mnist": (0.2860, 0.3530)}


def real(name):
    if not (REAL / name / originals.TRAIN_X).is_file():
        pytest.skip(f"the original {name} files are not beside this checkout")
    return REAL


@pytest.fixture(autouse=True)
def _no_environment(monkeypatch):
    monkeypatch.delenv("NNLAB_DATA_DIR", raising=False)


# IDX files


@pytest.mark.parametrize("dtype", ["u1", "i1", "i2", "i4", "f4", "f8"])
@pytest.mark.parametrize("pack", [bytes, gzip.compress], ids=["plain", "gzip"])
def test_reading_an_idx_file_gives_the_array_that_was_written(tmp_path, dtype, pack):
    values = (np.arange(24).reshape(2, 3, 4) * 5 - 20).astype(dtype)
    path = tmp_path / "values"
    path.write_bytes(pack(idx_bytes(values)))
    read = idx.read(path)
    np.testing.assert_array_equal(read, values)
    assert read.dtype == values.dtype
    assert read.dtype.isnative


GOOD = idx_bytes(np.arange(12, dtype=np.uint8).reshape(3, 4))
BROKEN = {
    "no magic": (b"PK\x03\x04 something else", ["starts with 50 4b 03 04"]),
    "unknown type": (b"\0\0\x07\x01\0\0\0\0", ["type code"]),
    "empty": (b"", ["starts with nothing"]),
    "short header": (GOOD[:9], ["inside its header", "9 of 12"]),
    "too short": (GOOD[:-1], ["23 bytes", "promises 24"]),
    "too long": (GOOD + b"x", ["25 bytes", "promises 24"]),
    "truncated gzip": (gzip.compress(GOOD)[:-9], ["truncated gzip"]),
    "corrupt gzip": (gzip.compress(GOOD)[:10] + b"\xff" * 30, ["broken"]),
    "bad gzip header": (b"\x1f\x8b\xff\xff" + GOOD, ["broken"]),
}


@pytest.mark.parametrize(("raw", "words"), BROKEN.values(), ids=BROKEN)
def test_a_broken_idx_file_is_named_with_what_is_wrong(tmp_path, raw, words):
    path = tmp_path / "broken.gz"
    path.write_bytes(raw)
    fails(lambda: idx.read(path), path, *words)


def test_a_missing_idx_file_is_named(tmp_path):
    fails(lambda: idx.read(tmp_path / "absent"), tmp_path / "absent", "No such file")


# The original files


@pytest.mark.parametrize("name", HISTOGRAMS)
def test_the_original_files_have_the_published_shapes_and_label_counts(name):
    folder = real(name) / name
    counts = [
        np.bincount(idx.read(folder / file)).tolist()
        for file in (originals.TRAIN_Y, originals.TEST_Y)
    ]
    assert counts == list(HISTOGRAMS[name])
    assert idx.read(folder / originals.TRAIN_X).shape == (60_000, 28, 28)
    assert idx.read(folder / originals.TEST_X).shape == (10_000, 28, 28)


@pytest.mark.parametrize("name", HISTOGRAMS)
def test_the_first_5000_images_validate_and_the_last_55000_train(name):
    data = load(name, data_dir=real(name))
    images = idx.read(REAL / name / originals.TRAIN_X)[..., None]
    labels = idx.read(REAL / name / originals.TRAIN_Y)
    np.testing.assert_array_equal(data.valid.x, images[:5000])
    np.testing.assert_array_equal(data.train.x, images[5000:])
    np.testing.assert_array_equal(data.valid.y, labels[:5000])
    np.testing.assert_array_equal(data.train.y, labels[5000:])
    assert (len(data.test.x), data.classes, data.shape) == (10_000, 10, (28, 28, 1))
    assert (data.train.x.dtype, data.train.y.dtype) == (np.uint8, np.int32)
    assert data.offset == np.float32(images[5000:].mean())
    assert data.scale == pytest.approx(1 / images[5000:].std(), rel=1e-6)


@pytest.mark.parametrize("name", HISTOGRAMS)
def test_pixel_mean_and_deviation_are_the_published_ones(name):
    data = load(name, data_dir=real(name), validation=1)
    mean, std = MOMENTS[name]
    assert data.offset / 255 == pytest.approx(mean, abs=6e-5)
    assert 1 / data.scale / 255 == pytest.approx(std, abs=6e-5)


def test_the_data_folder_may_be_the_sets_own_or_hold_it_or_come_from_the_environment(monkeypatch):
    folder = real("mnist")
    prints = {
        load("mnist", data_dir=folder).fingerprint(),
        load("mnist", data_dir=str(folder / "mnist")).fingerprint(),
    }
    monkeypatch.setenv("NNLAB_DATA_DIR", str(folder))
    prints.add(load("mnist").fingerprint())
    assert prints == {"25f249689575198a"}


def test_another_sets_files_are_recognised_as_such():
    folder = real("fashion_mnist") / "fashion_mnist"
    fails(
        lambda: load("mnist", data_dir=folder), "SHA-256 3aede38d6186", "belongs to fashion_mnist"
    )


@pytest.fixture
def tiny(tmp_path, monkeypatch):
    return pretend_mnist(tmp_path / "files", monkeypatch)


def test_validation_and_limit_count_from_the_start_of_the_training_file(tiny):
    images = idx.read(tiny / originals.TRAIN_X)[..., None]
    data = load("mnist", data_dir=tiny, validation=7, limit=20)
    np.testing.assert_array_equal(data.valid.x, images[:7])
    np.testing.assert_array_equal(data.train.x, images[7:27])
    assert data.offset == np.float32(images[7:27].mean())
    assert len(load("mnist", data_dir=tiny, validation=0.25).valid.x) == 15
    fails(lambda: load("mnist", data_dir=tiny), "validation=5000 of 60")
    fails(lambda: load("mnist", data_dir=tiny, validation=7, limit=54), "limit=54", "1 to 53")


def test_changing_validation_or_test_files_changes_no_statistic_of_training(tiny, monkeypatch):
    before = load("mnist", data_dir=tiny, validation=7, scaling="feature")
    for file, part in ((originals.TRAIN_X, slice(0, 7)), (originals.TEST_X, slice(None))):
        images = idx.read(tiny / file).copy()
        images[part] = 255 - images[part]
        (tiny / file).write_bytes(gzip.compress(idx_bytes(images)))
        monkeypatch.setitem(originals.ORIGINALS["mnist"], file, sha256(tiny / file))
    after = load("mnist", data_dir=tiny, validation=7, scaling="feature")
    assert (after.valid.x != before.valid.x).any()
    assert (after.test.x != before.test.x).any()
    np.testing.assert_array_equal(after.offset, before.offset)
    np.testing.assert_array_equal(after.scale, before.scale)


def test_a_missing_or_altered_original_is_named_with_what_was_expected(tiny, tmp_path):
    path = tiny / originals.TEST_Y
    whole = path.read_bytes()
    path.write_bytes(whole[:-4])
    wanted = originals.ORIGINALS["mnist"][originals.TEST_Y][:12]
    fails(
        lambda: load("mnist", data_dir=tiny), path, "SHA-256", wanted, f"{len(whole) - 4:,} bytes"
    )
    path.unlink()
    fails(lambda: load("mnist", data_dir=tiny), f"{path} is missing", "four original files")
    fails(
        lambda: load("mnist", data_dir=tmp_path), f"no mnist in {tmp_path}", "--data-dir", "digits"
    )


def test_a_folder_that_is_none_is_named_with_where_it_came_from(tmp_path, monkeypatch, tiny):
    absent = tmp_path / "absent"
    fails(lambda: load("mnist", data_dir=absent), f"data_dir is {absent}", "not a folder")
    fails(lambda: load("cifar10", data_dir=tiny / originals.TEST_X), "not a folder")
    monkeypatch.setenv("NNLAB_DATA_DIR", str(absent))
    fails(lambda: load("mnist"), f"NNLAB_DATA_DIR is {absent}")
    assert load("digits").name == "digits"
