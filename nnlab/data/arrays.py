"""A data set from a pair of NumPy arrays: check, shuffle once, divide."""

import numpy as np

from nnlab.data import scaling as scalings
from nnlab.data.dataset import Dataset, Split, build
from nnlab.errors import UsageError

SMALL = 20
"""Examples up to which any number of classes is taken as meant."""
Part = float | int | tuple[object, object] | np.ndarray
"""A fraction of the examples, a count of them, or an (x, y) pair of its own (an x without y)."""


def from_arrays(
    x: object,
    y: object = None,
    *,
    test: Part = 0.15,
    validation: Part = 0.15,
    name: str = "arrays",
    scaling: str | None = None,
    seed: int = 0,
    classes: int | None = None,
) -> Dataset:
    """A data set of examples x [n, features...] and targets y [n].

    Integer y are class labels and float y are the targets of a regression, taken as they are:
    targets far from unit scale want other rates, or a scale of your own.  Without y there are no
    targets, for a model that is its own loss (`nnlab.models.from_loss`).  uint8 x stay uint8,
    other numbers become float32.  `test` and `validation` are fractions of n, counts, or (x, y)
    pairs of their own; whatever is taken from x is a random part of it, the same for the same
    `seed`.  Without `scaling` each feature of vectors is standardised by itself ("feature"), bytes
    and images by one mean and deviation ("standard").  Labels have to be 0..K-1 with none missing;
    give `classes` when some do not occur.

    Raises UsageError for unequal lengths, empty arrays, values that are not finite numbers, other
    labels, more classes than half the examples, and parts that leave nothing to train on.
    """
    whole = checked(x, y)
    if scaling is None:
        vectors = whole.x.ndim == 2 and whole.x.dtype != np.uint8
        scaling = "feature" if vectors else "standard"
    scalings.find(scaling)
    sizes = {"test": 0, "validation": 0}
    given: dict[str, Split] = {}
    for word, part in (("test", test), ("validation", validation)):
        if isinstance(part, float | int | np.number) and not isinstance(part, bool):
            sizes[word] = size(part, len(whole.x), word)
        else:
            pair = (part, None) if y is None else _pair(part, word)
            given[word] = checked(*pair, word=f"{word} ")
            _check_alike(whole, given[word], word)
    if len(given) == 2:
        parts, rule = (whole, given["validation"], given["test"]), "parts as given"
    else:
        train, valid, rest = divide(whole, **sizes, seed=seed)
        parts = (train, given.get("validation", valid), given.get("test", rest))
        rule = f"shuffled by seed {seed}"
    return build(name, parts, classes=count_classes(parts, classes), scaling=scaling, rule=rule)


def nothing() -> Dataset:
    """One empty example and no target in each part: for a loss that reads no data.

    At batch size 1 an epoch is one update.
    """
    empty = Split(np.zeros((1, 0), np.float32), np.zeros((1, 0), np.float32))
    parts = (empty, empty, empty)
    return build(
        "empty data", parts, classes=0, scaling="none", rule="nothing to read", maximum=1.0
    )


def checked(x: object, y: object, *, word: str = "") -> Split:
    """The pair as copies with nnlab's dtypes, or the error that says what is wrong with it."""
    examples = _array(x, f"{word}x")
    if examples.ndim < 2:
        raise UsageError(
            f"{word}x has shape {examples.shape}; it needs [n, features...]; "
            "for one feature try x[:, None]"
        )
    if y is None:
        return Split(_float32(examples, f"{word}x"), np.zeros((len(examples), 0), np.float32))
    targets = _array(y, f"{word}y")
    if len(examples) != len(targets):
        raise UsageError(
            f"{word}x has {len(examples):,} examples and {word}y has {len(targets):,}; "
            "each example needs one target"
        )
    if targets.dtype.kind == "f":
        return Split(_float32(examples, f"{word}x"), _float32(targets, f"{word}y"))
    if targets.ndim != 1:
        raise UsageError(
            f"{word}y holds integers of shape {targets.shape}; class labels need shape [n]; "
            "for one-hot rows try y.argmax(axis=1)"
        )
    lowest, highest = int(targets.min()), int(targets.max())
    if lowest < 0 or highest >= 2**31:
        raise UsageError(
            f"{word}y has labels from {lowest} to {highest}; class labels count from 0; "
            "try np.unique(y, return_inverse=True)[1], or y.astype(float) for a regression"
        )
    return Split(_float32(examples, f"{word}x"), targets.astype(np.int32))


def count_classes(parts: tuple[Split, ...], classes: int | None) -> int:
    """How many classes the labels of all parts span; 0 for float targets (a regression)."""
    targets = [part.y for part in parts]
    if targets[0].dtype.kind == "f":
        if classes:
            raise UsageError(
                f"classes={classes} came with float y, which means a regression; "
                "for class labels try y.astype(int)"
            )
        return 0
    present = np.unique(np.concatenate(targets))
    needed = int(present[-1]) + 1
    if classes is not None:
        if needed > classes:
            raise UsageError(
                f"label {needed - 1} came with classes={classes}; "
                f"labels count from 0 to classes - 1; try classes={needed}"
            )
        return int(classes)
    if len(present) < needed:
        missing = int(np.setdiff1d(np.arange(len(present) + 1), present)[0])
        raise UsageError(
            f"label {missing} does not occur, though labels go up to {needed - 1}; "
            f"labels need to be 0..K-1; try np.unique(y, return_inverse=True)[1], "
            f"or say classes={needed}, or y.astype(float) for a regression"
        )
    total = sum(map(len, targets))
    if 2 * needed > total > SMALL:
        raise UsageError(
            f"y holds {needed:,} classes of {total:,} examples, too many to learn; try "
            f"y.astype(float) for a regression, or say classes={needed} if they are classes"
        )
    return needed


def size(part: float | np.number, total: int, word: str) -> int:
    """How many of `total` examples a fraction (below 1) or a count is: at least 1, fewer than all.

    Fractions are rounded to the nearest count.
    """
    if isinstance(part, int | np.integer):
        count = int(part)
    else:
        count = round(float(part) * total) if 0 < part < 1 else 0
    if not 1 <= count < total:
        hint = f"try {word}=0.15" if 1 <= round(0.15 * total) < total else "have more examples"
        raise UsageError(
            f"{word}={part} of {total:,} examples; it needs a fraction between 0 and 1 or a count "
            f"from 1 to {total - 1:,}; {hint}"
        )
    return count


def divide(whole: Split, test: int, validation: int, *, seed: int) -> tuple[Split, Split, Split]:
    """Shuffle, then cut: the first `test` go to the test part, then `validation`, then training.

    The result is (train, valid, test); see `permutation` for the shuffle.
    """
    n = len(whole.x)
    if test + validation >= n:
        raise UsageError(
            f"{test:,} test and {validation:,} validation examples of {n:,} leave none to train on;"
            " make one of them smaller"
        )
    order = permutation(n, seed)
    cuts = np.split(order, [test, test + validation])
    rest, valid, train = (Split(whole.x[rows], whole.y[rows]) for rows in cuts)
    return train, valid, rest


def permutation(n: int, seed: int) -> np.ndarray:
    """A random order of 0..n-1 that no release of NumPy changes.

    It ranks n raw draws of PCG64(seed): NumPy keeps the streams of its bit generators for ever,
    but not what Generator.permutation makes of them (NEP 19, "Compatibility guarantees").
    """
    if isinstance(seed, bool) or not isinstance(seed, int | np.integer) or seed < 0:
        raise UsageError(f"seed={seed!r} came; it needs a whole number of 0 or more; try seed=0")
    return np.argsort(np.random.PCG64(seed).random_raw(n), kind="stable")


def _array(values: object, word: str) -> np.ndarray:
    try:
        array = np.asarray(values)
    except ValueError as error:
        raise UsageError(
            f"{word} is not a rectangular array ({error}); give rows of equal length"
        ) from error
    if array.dtype.kind not in "buif":
        raise UsageError(f"{word} has dtype {array.dtype}; it needs real numbers")
    if not array.ndim or not array.size:
        raise UsageError(f"{word} has shape {array.shape}; it needs one or more examples")
    return array


def _float32(values: np.ndarray, word: str) -> np.ndarray:
    if values.dtype == np.uint8:
        return values.copy()
    with np.errstate(over="ignore"):
        single = values.astype(np.float32)
    bad = ~np.isfinite(single)
    if bad.any():
        where = tuple(int(i) for i in np.argwhere(bad)[0])
        raise UsageError(
            f"{word} has {int(bad.sum()):,} values that are not finite in float32, the first "
            f"({values[where]}) at {list(where)}; remove or replace them"
        )
    return single


def _pair(part: object, word: str) -> tuple[object, object]:
    try:
        x, y = part  # pyright: ignore[reportGeneralTypeIssues]
    except (TypeError, ValueError) as error:
        raise UsageError(
            f"{word} is a {type(part).__name__}; it needs a fraction, a count or an (x, y) pair; "
            f"try {word}=0.15"
        ) from error
    return x, y


def _check_alike(whole: Split, other: Split, word: str) -> None:
    for letter, ours, theirs in (("x", whole.x, other.x), ("y", whole.y, other.y)):
        if (ours.shape[1:], ours.dtype) != (theirs.shape[1:], theirs.dtype):
            raise UsageError(
                f"{word} {letter} has rows of shape {theirs.shape[1:]} in {theirs.dtype}, "
                f"{letter} has {ours.shape[1:]} in {ours.dtype}; they need to be alike"
            )
