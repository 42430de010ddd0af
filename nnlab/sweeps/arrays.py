"""A data set as the arrays a program reads."""

from math import ceil, prod

import numpy as np

from nnlab.data.dataset import Dataset, Split
from nnlab.train.loop import Data, Examples

EVALUATION_BATCH = 1000
"""The most examples evaluated at once; it bounds memory, not results."""


def program_data(data: Dataset) -> Data:
    """The training set as stored, validation and test set cut into equal batches."""
    return Data(
        x=data.train.x,
        y=data.train.y,
        valid=batches(data.valid),
        test=batches(data.test),
        offset=np.broadcast_to(np.float32(data.offset), data.shape),
        scale=np.broadcast_to(np.float32(data.scale), data.shape),
    )


def outputs_of(data: Dataset) -> int:
    """How many outputs a network for this data has: its classes, or its targets' numbers.

    Data without targets have none.
    """
    return data.classes or prod(data.train.y.shape[1:])


def equal_batches(examples: int) -> tuple[int, int]:
    """How many equal batches of at most 1,000, and their size."""
    count = ceil(examples / EVALUATION_BATCH)
    return count, ceil(examples / count)


def batches(split: Split) -> Examples:
    """The fewest equal batches of at most 1,000; zeros of weight 0 fill the last one."""
    examples = len(split.y)
    count, size = equal_batches(examples)

    def cut(array: np.ndarray) -> np.ndarray:
        padding = [(0, count * size - examples)] + [(0, 0)] * (array.ndim - 1)
        return np.pad(array, padding).reshape(count, size, *array.shape[1:])

    return Examples(cut(split.x), cut(split.y), cut(np.ones(examples, np.float32)))
