"""What a sweep measures besides its losses and accuracies, and which of two values is better."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from nnlab.errors import UsageError, unknown
from nnlab.nn.metrics import LARGER_IS_BETTER
from nnlab.sweeps.choices import TABLES, Choice, resolve
from nnlab.sweeps.labels import words

METRIC = "metric"
MEASURED = ("loss", "accuracy", "squared_error")
"""Metrics that every sweep measures where they have a meaning."""
OF_LOSS = ("train_loss", "val_loss", "test_loss")
"""How the names of those end that lie on the scale of the loss that was trained."""
ON_ONE_SCALE = ("val_accuracy", "val_squared_error")
"""Those that compare runs of whatever losses."""


def read_metrics(metrics: Any) -> tuple[Choice, ...]:
    """A name with arguments, {label: either function or name}, or a list of them, as choices.

    A label is what the results are called by: "brier" gives val_brier and test_brier. Raises
    UsageError for anything else, for a label that is no name, or that stands twice.
    """
    many = isinstance(metrics, Sequence) and not isinstance(metrics, str)
    listed: list[Any] = []
    for item in list(metrics) if many else [metrics]:
        listed += [{k: v} for k, v in item.items()] if isinstance(item, Mapping) else [item]
    found: dict[str, Choice] = {}
    for item in listed:
        names = list(item) if isinstance(item, Mapping) else [item]
        if names and names[0] in MEASURED:
            raise UsageError(f"{names[0]} is measured anyway; leave it out, or rename yours")
        choice = resolve(METRIC, item)
        label = written(choice) if isinstance(item, str) else choice.label
        if not isinstance(item, str) and not label.isidentifier():
            raise UsageError(
                f"metric {words(label, 60)}: a metric needs a name of letters, digits and _; "
                "try {'mine': function}"
            )
        check_name(label)
        if label in found:
            raise UsageError(f"metric {label} is given twice; give it once")
        found[label] = replace(choice, label=label)
    return tuple(found.values())


def written(choice: Choice) -> str:
    """A name and its arguments as Python has them, though a shell's be top_k_accuracy:3."""
    arguments = ", ".join(f"{value:g}" for _, value in choice.static + choice.numbers)
    return choice.function.__name__ + f"({arguments})" * bool(arguments)


def check_name(label: str) -> None:
    """Raise UsageError for a name like brier_score: a score is to be large, Brier's small."""
    known = [*TABLES[METRIC], *TABLES["loss"], "loss", "error"]
    measure = label.removesuffix("score").rstrip("_")
    small = any(f"_{measure}".endswith(f"_{name}") for name in known)
    if label.endswith("score") and small and not is_share(measure):
        raise UsageError(
            f"metric {label} ends in score, which is to be large, and {measure} is to be small; "
            f"try {{'{measure}_loss': function}}"
        )


def check_judge(metric: str | None, metrics: Sequence[str], losses: Sequence[str] = ()) -> None:
    """Raise UsageError for a metric that nobody can choose by.

    It is not there, it would flatter what is chosen, or it is a loss where there are several.
    """
    if str(metric).startswith("test_"):
        raise UsageError(
            f"{metric} is for the end: who chooses by test data has none left to test on; "
            f"try val_{str(metric).removeprefix('test_')}"
        )
    name = str(metric).removeprefix("val_")
    unmeasured = not {metric, f"val_{name}"} & {None, *metrics}
    if unmeasured and name.partition("(")[0] in TABLES[METRIC]:
        raise UsageError(
            f"unknown metric {str(metric)!r} as long as nobody measures it; "
            f"try metrics=[{name!r}], in a shell --metrics {name}"
        )
    if metric is not None and metric not in metrics:
        raise unknown("metric", metric, [m for m in metrics if not m.startswith("test_")])
    check_comparable(metric or "", losses, metrics)


def check_comparable(metric: str, losses: Sequence[str], metrics: Sequence[str]) -> None:
    """Raise UsageError for a loss where there are losses of several kinds: their scales differ."""
    if len(losses) > 1 and metric.endswith(OF_LOSS):
        judge = next((m for m in ON_ONE_SCALE if m in metrics), "a metric of your own")
        raise UsageError(
            f"{metric} of different losses ({', '.join(losses)}) cannot be compared; try {judge}"
        )


def larger_is_better(metric: str) -> bool:
    """True for accuracies, places in a ranking, and what is called a score; else False.

    Losses, errors and the gap of two accuracies are to be small, and so is a metric of one's own
    unless its name ends in accuracy or score (scikit-learn's rule for the names of its metrics).
    """
    return is_share(metric) or metric.endswith("score")


def score(values: np.ndarray, metric: str) -> np.ndarray:
    """How good values are: the larger the better, -inf for those that are not finite."""
    signed = values if larger_is_better(metric) else -values
    return np.where(np.isfinite(values), signed, -np.inf)


def is_share(metric: str) -> bool:
    """True for what lies between 0 and 1, the better the larger: by the last words of its name."""
    return f"_{metric.partition('(')[0]}".endswith(tuple(f"_{name}" for name in LARGER_IS_BETTER))


def of_examples(metric: str) -> bool:
    """True for what judges outputs, where a value that is not finite is the worst there is."""
    return metric.startswith(("train_", "val_", "test_")) or "loss" in metric or "error" in metric
