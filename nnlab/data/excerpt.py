"""Part of a data set: an experiment on the first few hundred examples."""

from dataclasses import replace

from nnlab.data.dataset import Dataset, Split


def excerpt(
    data: Dataset, train: int | None = None, valid: int | None = None, test: int | None = None
) -> Dataset:
    """The first examples of each part, or all where there are no more; None keeps the part.

    The scaling stays the one that was fitted to all training examples.
    """
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
