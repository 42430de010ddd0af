"""Part of a data set: an experiment on the first few hundred examples."""

from dataclasses import replace

from nnlab.data.dataset import Dataset, Split
from nnlab.errors import UsageError


def excerpt(
    data: Dataset, train: int | None = None, valid: int | None = None, test: int | None = None
) -> Dataset:
    """The first examples of each part, or all where there are no more; None keeps the part.

    The scaling stays the one that was fitted to all training examples.  Raises UsageError for a
    count below 1.
    """
    for name, most in (("train", train), ("valid", valid), ("test", test)):
        if most is not None and (isinstance(most, bool) or not isinstance(most, int) or most < 1):
            raise UsageError(
                f"excerpt needs a whole number of {name} examples from 1, got {most!r}; try 500"
            )
    parts = [
        Split(part.x[:most], part.y[:most])
        for part, most in ((data.train, train), (data.valid, valid), (data.test, test))
    ]
    sizes = ", ".join(f"{len(part.y):,}" for part in parts)
    said = f"{data.description}; of these the first {sizes} (train, validation, test)"
    return replace(data, train=parts[0], valid=parts[1], test=parts[2], description=said)


def epochs_for(data: Dataset, steps: int, batch_size: int) -> int:
    """The fewest epochs that hold so many steps; an epoch drops what does not fill a batch."""
    per_epoch = max(1, len(data.train.y) // batch_size)
    return -(-steps // per_epoch)
