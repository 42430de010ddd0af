"""How raw values become network input: (x - offset) * scale, fitted on the training part alone.

Data stay as they are stored (uint8 images stay uint8); the compiled program scales each batch, so
the offset and the scale are all that a scaling computes.  Both are float32, scalars or shaped like
one example.  A feature that never varies keeps scale 1, so it becomes 0 and nothing is divided by
zero.
"""

from collections.abc import Callable

import numpy as np

from nnlab.errors import UsageError, unknown

Fit = Callable[[np.ndarray, float], tuple[np.ndarray, np.ndarray]]
BLOCK = 4096
"""Examples turned into float64 at a time: statistics of 55,000 images in little memory."""


def none(x: np.ndarray, maximum: float) -> tuple[np.ndarray, np.ndarray]:  # noqa: ARG001
    """The raw values: offset = 0, scale = 1."""
    return _float32(0.0, 1.0)


def unit(x: np.ndarray, maximum: float) -> tuple[np.ndarray, np.ndarray]:  # noqa: ARG001
    """Divided by the largest value: offset = 0, scale = 1 / maximum."""
    return _float32(0.0, 1 / maximum)


def standard(x: np.ndarray, maximum: float) -> tuple[np.ndarray, np.ndarray]:  # noqa: ARG001
    """One mean and one standard deviation over all features: scale = 1 / std(x)."""
    return _standardise(x, axis=None)


def feature(x: np.ndarray, maximum: float) -> tuple[np.ndarray, np.ndarray]:  # noqa: ARG001
    """A mean and a standard deviation for each feature: scale_j = 1 / std(x_j)."""
    return _standardise(x, axis=0)


SCALINGS: dict[str, Fit] = {"none": none, "unit": unit, "standard": standard, "feature": feature}


def find(name: str) -> Fit:
    """The scaling of that name, or the error that lists them."""
    if name not in SCALINGS:
        raise unknown("scaling", name, SCALINGS)
    return SCALINGS[name]


def largest(x: np.ndarray) -> float:
    """What "unit" divides by: 255 for uint8, otherwise max |x| (1 when every value is 0)."""
    return 255.0 if x.dtype == np.uint8 else float(np.abs(x).max()) or 1.0


def _standardise(x: np.ndarray, axis: int | None) -> tuple[np.ndarray, np.ndarray]:
    mean = np.mean(x, axis, dtype=np.float64)
    blocks = (x[i : i + BLOCK].astype(np.float64) for i in range(0, len(x), BLOCK))
    squares = sum(np.sum(np.square(block - mean), axis) for block in blocks)
    count = x.size if axis is None else len(x)
    varies = np.max(x, axis) > np.min(x, axis)
    std = np.where(varies, np.sqrt(squares / count), 1.0)
    return _float32(mean, 1 / std)


def _float32(offset: object, scale: object) -> tuple[np.ndarray, np.ndarray]:
    with np.errstate(over="ignore"):
        pair = np.asarray(offset, np.float32), np.asarray(scale, np.float32)
    if not all(np.isfinite(values).all() for values in pair):
        raise UsageError(
            "x varies too little or is too large for float32: its scale is not finite; "
            "rescale x, or use scaling='none'"
        )
    return pair
