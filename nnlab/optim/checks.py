"""The one place where a hyperparameter is looked at as a Python number.

A traced value passes through untouched: what it holds is known only when the program runs, and a
run that diverges is data.
"""

import math
import numbers
from typing import Any

from nnlab.errors import UsageError

FRACTIONS = {"momentum", "decay", "beta", "beta1", "beta2", "beta3"}
NONNEGATIVE = {
    "learning_rate", "weight_decay", "eps", "eps_root", "initial_accumulator", "clip",
    "max_norm", "ratio", "radius", "max_learning_rate", "min_norm", "trust",
    "stddev", "l1", "l2", "min_step", "max_step", "bound",
}  # fmt: skip
POSITIVE = {"initial_distance"}


def number(name: str, value: Any) -> Any:
    """A Python or numpy number as a checked float; anything else (traced, schedule, flag) as it is.

    Raises UsageError for NaN, for a fraction outside 0 <= x < 1 (momentum, decay, beta...), for a
    negative rate, decay or epsilon and for a first distance of 0.
    """
    if isinstance(value, bool) or not isinstance(value, numbers.Real):
        return value
    x = float(value)
    if math.isnan(x):
        raise UsageError(f"{name} is NaN; it needs a number; check the computation it came from")
    if name in FRACTIONS and not 0.0 <= x < 1.0:
        raise UsageError(f"{name} is {x:g}; it needs 0 <= {name} < 1; try 0.9")
    if name in NONNEGATIVE and x < 0.0:
        sign = ">" if name == "learning_rate" else ">="  # a sweep refuses a rate of 0 as well
        raise UsageError(f"{name} is {x:g}; it needs {name} {sign} 0; try {-x:g}")
    if name in POSITIVE and x <= 0.0:
        raise UsageError(f"{name} is {x:g}; it needs {name} > 0; try 1e-6")
    return x


def at_least(least: float, name: str, value: Any) -> None:
    """Raises UsageError for a Python or numpy number below `least`."""
    if isinstance(value, numbers.Real) and value < least:
        raise UsageError(f"{name} is {value:g}; it needs {name} >= {least:g}")
