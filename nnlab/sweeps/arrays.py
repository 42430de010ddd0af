"""A data set as the arrays a program reads."""

from math import prod

import numpy as np

from nnlab.data.dataset import Dataset
from nnlab.train.loop import Data, in_batches


def program_data(data: Dataset) -> Data:
    """The training set as stored, validation and test set cut into equal batches."""
    return Data(
        x=data.train.x,
        y=data.train.y,
        valid=in_batches(data.valid.x, data.valid.y),
        test=in_batches(data.test.x, data.test.y),
        offset=np.broadcast_to(np.float32(data.offset), data.shape),
        scale=np.broadcast_to(np.float32(data.scale), data.shape),
    )


def outputs_of(data: Dataset) -> int:
    """How many outputs a network for this data has: its classes, or its targets' numbers.

    Data without targets have none.
    """
    return data.classes or prod(data.train.y.shape[1:])
