"""Data sets by name, with their splits and where they come from."""

import os
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from nnlab.data import originals, tfds_source
from nnlab.data import scaling as scalings
from nnlab.data.arrays import checked, count_classes, divide, size
from nnlab.data.dataset import Dataset, Split, build
from nnlab.data.folders import data_folder
from nnlab.errors import UsageError

DATASETS: dict[str, str] = {
    "digits": "1,797 handwritten digits, 8x8, 10 classes; comes with scikit-learn, needs no files",
    "mnist": "70,000 handwritten digits, 28x28, 10 classes",
    "fashion_mnist": "70,000 articles of clothing, 28x28, 10 classes",
    "kmnist": "70,000 cursive Japanese characters, 28x28, 10 classes",
}
"""The data sets nnlab lists; other sets of images are found by their TFDS name."""

DIGITS_PART = 270
DIGITS_SEED = 0
DIGITS_MAXIMUM = 16.0
ORIGINALS_VALIDATION = 5_000
TFDS_VALIDATION = 0.1


class Source(NamedTuple):
    """What a source delivers: (train, valid, test), the classes, and how the split was made."""

    parts: tuple[Split, Split, Split]
    classes: int
    rule: str
    maximum: float | None = None


def load(
    name: str = "digits",
    *,
    data_dir: str | os.PathLike[str] | None = None,
    validation: float | None = None,
    scaling: str = "standard",
    limit: int | None = None,
) -> Dataset:
    """The data set of that name: the same examples in the same order, whatever the source.

    Images are [n, height, width, channels] uint8, labels int32.

    - `digits`: shuffled by seed 0, then 270 test, 270 validation and 1,257 training images; it
      needs no `data_dir`.
    - `mnist`, `fashion_mnist`, `kmnist`: the first 5,000 training images are for validation, the
      other 55,000 train, the 10,000 of the test file test.  Their four original files are looked
      for in `data_dir`/`name` and `data_dir`.  Otherwise TFDS provides them: files it has
      downloaded, else data it has prepared, else (without a `data_dir`) a download.
    - any other name is TFDS's and `data_dir` its data folder; validation is TFDS's own split, or
      the first tenth of the training split as stored.

    `data_dir` is by default the environment's NNLAB_DATA_DIR.  `validation`, a count or a fraction,
    replaces the size of the validation part; `limit` keeps only the first training examples, and
    the scaling (see `scaling.SCALINGS`) is fitted to these.

    Raises UsageError for unknown names and for files that are missing, wrong or out of reach.
    """
    scalings.find(scaling)
    if not isinstance(name, str):
        raise UsageError(
            f"load needs the name of a data set, got {type(name).__name__}; try 'digits', or "
            "from_arrays(x, y) for your own arrays"
        )
    if name == "digits":
        source = _digits(validation)
    elif name in originals.ORIGINALS:
        source = _original(name, data_folder(data_dir), validation)
    else:
        source = _from_tfds(name, data_folder(data_dir), validation, limit)
    train, valid, test = source.parts
    train = _rows(train, 0, _at_most(limit, len(train.x)))
    return build(
        name,
        (train, valid, test),
        classes=source.classes,
        scaling=scaling,
        rule=source.rule,
        maximum=source.maximum,
    )


def _digits(validation: float | None) -> Source:
    from sklearn.datasets import load_digits

    bunch: Any = load_digits()
    whole = checked(bunch.images[..., None].astype(np.uint8), bunch.target)
    room = len(whole.x) - DIGITS_PART
    count = size(DIGITS_PART if validation is None else validation, room, "validation")
    parts = divide(whole, DIGITS_PART, count, seed=DIGITS_SEED)
    return Source(parts, 10, f"shuffled by seed {DIGITS_SEED}", DIGITS_MAXIMUM)


def _original(name: str, folder: Path | None, validation: float | None) -> Source:
    whole, test = _original_files(name, folder)
    cut = size(
        ORIGINALS_VALIDATION if validation is None else validation, len(whole.x), "validation"
    )
    parts = (_rows(whole, cut, None), _rows(whole, 0, cut), test)
    rule = f"validation is the first {cut:,} of the training file"
    return Source(parts, count_classes((whole, test), None), rule)


def _original_files(name: str, folder: Path | None) -> tuple[Split, Split]:
    if folder is not None and (paths := originals.find(name, folder)):
        return originals.read(name, paths)
    builder = tfds_source.find(name, folder, DATASETS)
    if not tfds_source.downloaded(builder):
        if tfds_source.readable(builder):
            return _in_file_order(builder, "train"), _in_file_order(builder, "test")
        if folder is not None:
            raise UsageError(
                f"no {name} in {folder}; it needs {', '.join(originals.FILES)}, there or in "
                f"{folder / name}; check data_dir (--data-dir, NNLAB_DATA_DIR), or try digits"
            )
    return originals.read(name, tfds_source.fetch(builder))


def _in_file_order(builder: Any, split: str) -> Split:
    n = builder.info.splits[split].num_examples
    return tfds_source.read(builder, split, tfds_source.file_order(split, n))


def _from_tfds(
    name: str, folder: Path | None, validation: float | None, limit: int | None
) -> Source:
    builder = tfds_source.find(name, folder, DATASETS)
    _, _, classes = tfds_source.columns(builder)
    tfds_source.prepare(builder)
    lengths = {split: info.num_examples for split, info in builder.info.splits.items()}
    held = [split for split in ("test", "validation") if split in lengths]
    if "train" not in lengths or not held:
        raise UsageError(
            f"{name} has the splits {', '.join(lengths)}; train and test (or validation) were "
            "needed; read it with TFDS and use from_arrays"
        )

    def read(split: str, start: int, stop: int) -> Split:
        return tfds_source.read(builder, split, np.arange(start, stop))

    if len(held) == 2 and validation is None:
        cut, rule = 0, "validation is TFDS's own split"
        valid = read("validation", 0, lengths["validation"])
    else:
        fraction = TFDS_VALIDATION if validation is None else validation
        cut = size(fraction, lengths["train"], "validation")
        rule = f"validation is the first {cut:,} of the training split"
        valid = read("train", 0, cut)
    train = read("train", cut, cut + _at_most(limit, lengths["train"] - cut))
    parts = (train, valid, read(held[0], 0, lengths[held[0]]))
    return Source(parts, count_classes(parts, classes), rule)


def _at_most(limit: int | None, total: int) -> int:
    if limit is None:
        return total
    if isinstance(limit, bool) or not isinstance(limit, int) or not 1 <= limit <= total:
        raise UsageError(
            f"limit={limit} came, of {total:,} training examples; it needs a count from 1 to "
            f"{total:,}; leave it out to train on all of them"
        )
    return limit


def _rows(part: Split, start: int, stop: int | None) -> Split:
    return Split(part.x[start:stop], part.y[start:stop])
