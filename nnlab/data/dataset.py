"""A data set: three splits of NumPy arrays, and how their values become network input."""

import hashlib
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from nnlab.data import scaling as scalings


class Split(NamedTuple):
    """Examples and their targets.

    x [n, ...] is uint8 (images, as stored) or float32; y is int32 class labels [n], or float32
    targets [n, ...] of a regression; [n, 0] where there are no targets.
    """

    x: np.ndarray
    y: np.ndarray


@dataclass(frozen=True, eq=False, repr=False)
class Dataset:
    """Training, validation and test examples; the network's input is (x - offset) * scale.

    The arrays are read-only.  `offset` and `scale` (float32, scalars or shaped like one example)
    come from the training part alone and are applied inside the compiled program.  `classes` is 0
    for a regression; `description` is one line with the sizes, the split rule and the scaling.
    """

    name: str
    train: Split
    valid: Split
    test: Split
    classes: int
    offset: np.ndarray
    scale: np.ndarray
    description: str

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of one example; images are (height, width, channels)."""
        return self.train.x.shape[1:]

    def fingerprint(self) -> str:
        """The first 16 hex digits of SHA-256 over examples, targets, classes and scaling.

        Equal fingerprints mean equal data, whatever the name and wherever the files came from: a
        resumed sweep compares them.
        """
        digest = hashlib.sha256(f"classes {self.classes}".encode())
        for values in (*self.train, *self.valid, *self.test, self.offset, self.scale):
            digest.update(f"{values.dtype.str}{values.shape}".encode())
            digest.update(np.ascontiguousarray(values).data)
        return digest.hexdigest()[:16]

    def constant(self) -> dict[str, float]:
        """What one answer for all examples scores on validation and test data, by metric.

        The accuracy of training's most frequent class, or the squared error of the mean of its
        targets; nothing where there are no targets.
        """
        y, held_out = self.train.y, {"val": self.valid.y, "test": self.test.y}
        if self.classes:
            answer = np.bincount(y).argmax()
            return {f"{k}_accuracy": float(np.mean(v == answer)) for k, v in held_out.items()}
        if not y.size:
            return {}
        mean = y.mean(0, dtype=np.float64)
        return {f"{k}_squared_error": float(np.mean((v - mean) ** 2)) for k, v in held_out.items()}

    def __repr__(self) -> str:
        return f"<Dataset {self.description}>"


def build(
    name: str,
    parts: tuple[Split, Split, Split],
    *,
    classes: int,
    scaling: str,
    rule: str,
    maximum: float | None = None,
) -> Dataset:
    """Fit the scaling to the training part, freeze the arrays, and say in one line what came out.

    `parts` is (train, valid, test); `rule` says how they were chosen; `maximum` is the largest
    value the format allows, where that is neither 255 (uint8) nor max |x| (float32).
    """
    train, valid, test = (Split(_frozen(part.x), _frozen(part.y)) for part in parts)
    maximum = scalings.largest(train.x) if maximum is None else maximum
    offset, scale = scalings.find(scaling)(train.x, maximum)
    sizes = f"{len(train.x):,} train, {len(valid.x):,} validation, {len(test.x):,} test"
    shape = "x".join(map(str, train.x.shape[1:]))
    regression = "regression" if train.y.size else "no targets"
    task = f"{classes} classes" if classes else regression
    description = f"{name}: {sizes}; {shape}, {task}; {rule}; {_formula(offset, scale, scaling)}"
    return Dataset(name, train, valid, test, classes, _frozen(offset), _frozen(scale), description)


def _frozen(values: np.ndarray) -> np.ndarray:
    view = values.view()
    view.setflags(write=False)
    return view


def _formula(offset: np.ndarray, scale: np.ndarray, scaling: str) -> str:
    if offset.ndim:
        return f"input (x - mean) / std of each feature ({scaling} scaling)"
    return f"input (x - {offset:.4g}) * {scale:.4g} ({scaling} scaling)"
