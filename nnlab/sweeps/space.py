"""What a search draws from: ranges of numbers and lists of choices, and how they narrow."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from math import ceil, exp, log
from numbers import Real
from typing import Any

import numpy as np

from nnlab.errors import UsageError
from nnlab.sweeps.axes import WHOLE
from nnlab.sweeps.border import MARGIN
from nnlab.sweeps.labels import words

DIGITS = 6
DRAWS = 100
"""A space of which so many draws are all alike is taken for one config."""


@dataclass(frozen=True)
class Range:
    """Numbers from low to high, log-uniform unless `log` is False."""

    low: float
    high: float
    log: bool = True

    def __post_init__(self) -> None:
        ends = (self.low, self.high)
        if not all(isinstance(end, Real) and np.isfinite(end) for end in ends):
            raise UsageError(f"a range needs two finite numbers, got {ends}; try (1e-4, 1e-1)")
        if not isinstance(self.log, bool):
            raise UsageError(f"a range is log or not, got log={self.log!r}; try log=False")
        if self.low >= self.high:
            raise UsageError(f"a range needs low < high, got {self.low:g}..{self.high:g}")
        if self.log and self.low <= 0:
            raise UsageError(
                f"a log range begins above 0, got {self.low:g}..{self.high:g}; "
                "try a linear one: Range(low, high, log=False), or low..high:linear in a shell"
            )
        low, high = (self._unscale(self._scale(end)) for end in ends)
        if low == high:
            raise UsageError(
                f"a range needs ends that differ in their first {DIGITS} digits, got {ends}"
            )

    def draw(self, random: np.random.Generator, count: int) -> list[float]:
        """Independent uniform draws, on the log scale if the range is."""
        low, high = map(self._scale, (self.low, self.high))
        return [self._unscale(x) for x in random.uniform(low, high, count)]

    def narrowed(self, best: Sequence[float]) -> "Range":
        """The interval of the best values and a tenth of the old width beyond, within the old.

        A range too narrow for six digits stays as it is.
        """
        low, high = map(self._scale, (self.low, self.high))
        found = [self._scale(x) for x in best]
        margin = MARGIN * (high - low)
        ends = max(low, min(found) - margin), min(high, max(found) + margin)
        low, high = map(self._unscale, ends)
        return Range(low, high, log=self.log) if low < high else self

    def borders(self) -> tuple[tuple[float, float], tuple[float, float]]:
        """The outer tenths, low and high, that count as a border."""
        low, high = map(self._scale, (self.low, self.high))
        margin = MARGIN * (high - low)
        inner = self._unscale(low + margin), self._unscale(high - margin)
        return (self.low, inner[0]), (inner[1], self.high)

    def _scale(self, x: float) -> float:
        return log(x) if self.log else float(x)

    def _unscale(self, x: float) -> float:
        return float(f"{exp(x) if self.log else x:.{DIGITS}g}")


Space = dict[str, Range | list[Any]]
"""What is searched: a range of numbers, or a list to choose from."""
Config = Mapping[str, Any]
Own = Callable[[Config], Config]
"""Of a config, the knobs that it reads."""


def read_space(ranges: Mapping[str, Any]) -> Space:
    """Pairs become log ranges, lists stay lists to choose from."""
    if not isinstance(ranges, Mapping) or not ranges:
        raise UsageError(
            f"a search needs {{knob: (low, high) or [choices]}}, got {words(ranges, 60)}; "
            "try {'learning_rate': (1e-4, 1e-1)}"
        )
    space: Space = {}
    for knob, values in ranges.items():
        pair = isinstance(values, tuple) and len(values) == 2
        if knob in WHOLE and (pair or isinstance(values, Range)):
            raise UsageError(f"{knob} needs whole numbers; give a list of choices, as [10, 20, 50]")
        if isinstance(values, Range):
            space[knob] = values
        elif pair:
            space[knob] = Range(*values)
        elif isinstance(values, list) and values:
            space[knob] = list(values)
        else:
            raise UsageError(
                f"{knob} needs a pair (low, high), a Range or a list of choices, "
                f"got {words(values, 60)}"
            )
    return space


def extremes(space: Space) -> list[dict[str, Any]]:
    """Configs that have both ends of every range, and every choice of every list, in its order."""
    columns = {k: [v.low, v.high] if isinstance(v, Range) else v for k, v in space.items()}
    count = max(len(values) for values in columns.values())
    return [{k: values[i % len(values)] for k, values in columns.items()} for i in range(count)]


def draw(
    space: Space, trials: int, random: np.random.Generator, own: Own = dict
) -> list[dict[str, Any]]:
    """Independent configs, each knob from its range or its list; not all alike if that can be."""
    found = draw_once(space, trials, random)
    for _ in range(ceil(DRAWS / trials)):
        if not are_one(found, own):
            break
        found = draw_once(space, trials, random)
    return found


def draw_once(space: Space, trials: int, random: np.random.Generator) -> list[dict[str, Any]]:
    columns = {
        knob: values.draw(random, trials)
        if isinstance(values, Range)
        else [values[i] for i in random.integers(len(values), size=trials)]
        for knob, values in space.items()
    }
    return [{knob: column[i] for knob, column in columns.items()} for i in range(trials)]


def are_one(configs: Sequence[Config], own: Own = dict) -> bool:
    """Whether configs differ in nothing that they read."""
    first, *rest = map(own, configs)
    return all(config == first for config in rest)


def narrow(space: Space, best: Sequence[Config]) -> Space:
    """Ranges around the best configs; of a list, the choices that are among them.

    What none of the best has stays as it is.
    """
    found: Space = {}
    for knob, values in space.items():
        own = [config[knob] for config in best if knob in config]
        if not own:
            found[knob] = values
        elif isinstance(values, Range):
            found[knob] = values.narrowed(own)
        else:
            found[knob] = [v for v in values if any(v is one or v == one for one in own)]
    return found
