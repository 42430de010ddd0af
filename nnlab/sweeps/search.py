"""Random search from coarse to fine: draw configs, train them a little, narrow the ranges, repeat.

Drawing at random beats a grid where few knobs matter, since every trial tries a new value of each
(Bergstra & Bengio, JMLR 13, 2012). Trials are judged on validation data; test data are looked at
once, by `Search.final`, for the one config that was chosen.
"""

import os
from collections.abc import Callable, Mapping, Sequence, Set
from dataclasses import dataclass
from math import ceil, exp, isfinite, log
from numbers import Real
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from nnlab.data.dataset import Dataset
from nnlab.errors import UsageError
from nnlab.models.model import Model
from nnlab.sweeps.axes import CONFIG, WHOLE, read_axes, whole
from nnlab.sweeps.border import MARGIN, crowded
from nnlab.sweeps.labels import words
from nnlab.sweeps.metrics import check_judge, score
from nnlab.sweeps.results import Results
from nnlab.sweeps.sweep import Sweep

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
Reader = Callable[[Config], Set[str]]
"""The names of the knobs that a config reads, fixed ones too."""


class Trial(NamedTuple):
    """One config of a search and how it did, as a mean over seeds."""

    knobs: dict[str, Any]
    """Those that it reads: the momentum drawn for Adam is none of them."""
    value: float
    stage: int
    config: int
    """Its place in the results of its stage."""


@dataclass(frozen=True, eq=False)
class Search:
    """A finished search: the ranges and the results of each stage, the last one the finest."""

    metric: str
    spaces: tuple[Space, ...]
    stages: tuple[Results, ...]
    """Along "config"; without test metrics."""
    trials: tuple[Trial, ...]
    """All stages' configs, best first."""
    finalist: Sweep
    out: Path | None = None
    """Where the stages are kept."""

    def __repr__(self) -> str:
        """The best config, and of how many."""
        knobs = ", ".join(f"{knob} {words(v, 40)}" for knob, v in self.best.items())
        value = f"{self.metric} {self.trials[0].value:.4g}"
        return f"Search: {knobs} is best of {len(self.trials)} configs, {value}"

    @property
    def best(self) -> dict[str, Any]:
        """The knobs of the best config."""
        return self.trials[0].knobs

    def warnings(self) -> list[str]:
        """One line for every range at whose border the best configs crowd: look beyond it."""
        found = []
        for knob, values in self.spaces[0].items():
            if isinstance(values, Range) and knob in self.best:
                alive = [trial.knobs for trial in self.trials if isfinite(trial.value)]
                ranked = [knobs[knob] for knobs in alive if knob in knobs]
                side = crowded(ranked, values.low, values.high, values.log)
                if side:
                    found.append(
                        f"the best {knob}, {self.best[knob]:g}, is near the "
                        f"{'low' if side < 0 else 'high'} end of {values.low:g}..{values.high:g}; "
                        "search beyond it"
                    )
        return found

    def final(self, progress: bool = True) -> Results:
        """The best config trained anew from seeds nobody selected by: only now test data count."""
        place = None if self.out is None else self.out / "final"
        return self.finalist.run(place, progress=progress, by=self.metric)


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


def only(config: Config, names: Set[str]) -> dict[str, Any]:
    """The knobs of these names."""
    return {knob: value for knob, value in config.items() if knob in names}


def reader(whole: Sweep) -> Reader:
    """Which knobs a config reads, in a search whose whole space is that sweep."""
    named = [config["optimizer"] for config in whole.axes[CONFIG] if "optimizer" in config]
    among = named or [whole.knobs["optimizer"]]

    def read(config: Config) -> Set[str]:
        own = read_axes(whole.model, {knob: [value] for knob, value in config.items()}, among)
        return whole.reads({knob: value for knob, (value,) in own.items()})

    return read


def are_one(configs: Sequence[Config], read: Reader = set) -> bool:
    """Whether configs differ in nothing that they read."""
    first, *rest = ({knob: c[knob] for knob in c if knob in read(c)} for c in configs)
    return all(config == first for config in rest)


def draw(
    space: Space, trials: int, random: np.random.Generator, read: Reader = set
) -> list[dict[str, Any]]:
    """Independent configs, each knob from its range or its list; not all alike if that can be."""
    found = draw_once(space, trials, random)
    for _ in range(ceil(DRAWS / trials)):
        if not are_one(found, read):
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


def judged(
    configs: Sequence[dict[str, Any]], results: Results, metric: str, stage: int
) -> list[Trial]:
    """Each config with its mean over seeds."""
    means = results.mean(metric)["mean"].values.tolist()
    pairs = zip(configs, means, strict=True)
    return [Trial(knobs, value, stage, i) for i, (knobs, value) in enumerate(pairs)]


def ranked(trials: Sequence[Trial], metric: str) -> list[Trial]:
    """The best first, those without a finite value last."""
    order = np.argsort(-score(np.array([t.value for t in trials]), metric), kind="stable")
    return [trials[i] for i in order]


def search(
    ranges: Mapping[str, Any],
    model: Model | None = None,
    data: Dataset | None = None,
    *,
    trials: int = 100,
    stages: int = 2,
    keep: float = 0.1,
    seed: int = 0,
    seeds: int = 1,
    final_seeds: int = 5,
    own_weights: bool = False,
    by: str | None = None,
    out: str | os.PathLike[str] | None = None,
    progress: bool = True,
    **knobs: Any,
) -> Search:
    """Draw `trials` configs, train them, narrow every range to the best, `stages` times.

    `ranges` maps a knob to (low, high), log-uniform, to a `Range`, or to a list of choices. After a
    stage each range becomes the interval of its best `keep` share of configs, a tenth of the old
    width added at either end, and never leaves the old one. A config is judged by its mean over
    `seeds` seeds of the validation metric `by`, the results' headline if None; `seed` fixes the
    draws. Trials share their initial weights, so that knobs are compared and not luck; with
    `own_weights` each draws its own. Other keywords fix knobs, as in `Sweep`; a knob that is drawn
    or fixed counts for the configs that read it. With `out`, each stage is kept in a directory of
    its own, without test metrics, and an interrupted search continues there. A stage without a
    finite value narrows nothing, and a search that has narrowed to one config is at its end.
    Raises UsageError for an empty range or space, and for a knob that no config reads.
    """
    space = read_space(ranges)
    counts = {"trials": (trials, 2), "stages": (stages, 1), "seeds": (seeds, 1)}
    counts |= {"final_seeds": (final_seeds, 1), "seed": (seed, 0)}
    for name, (value, least) in counts.items():
        whole(name, value, range(least, 10**6))
    if isinstance(keep, bool) or not isinstance(keep, Real) or not 0 < keep < 1:
        raise UsageError(f"keep is a share between 0 and 1, got {words(keep, 60)}; try 0.1")
    random, metric = np.random.default_rng(seed), ""
    largest = Sweep(model, data, {CONFIG: extremes(space)}, **knobs)  # refuses what no draw may be
    check_judge(by, largest.metrics)
    read = reader(largest)
    kept = None if out is None else own_directory(Path(out))
    spaces: list[Space] = []
    found: list[Results] = []
    judged_so_far: list[Trial] = []
    for stage in range(1, stages + 1):
        configs = draw(space, trials, random, read)
        if stage > 1 and are_one(configs, read):
            break
        own = [read(config) for config in configs]
        used = set().union(*own)
        axes = {CONFIG: [only(c, used) for c in configs], "seed": list(range(seeds))}
        if own_weights:
            first = trials * (stage - 1)
            axes[CONFIG] = [{**c, "draw": i} for i, c in enumerate(axes[CONFIG], first)]
        sweep = Sweep(model, data, axes, **fixed(knobs, largest, used)).without_test()
        place = None if kept is None else kept / f"stage{stage}"
        results = sweep.run(place, progress=progress, by=by)
        metric = metric or results.headline
        shown = [only(*pair) for pair in zip(configs, own, strict=True)]
        now = ranked(judged(shown, results, metric, stage), metric)
        spaces.append(space)
        found.append(results)
        judged_so_far += now
        alive = [trial.knobs for trial in now[: ceil(keep * trials)] if isfinite(trial.value)]
        space = narrow(space, alive) if alive else space
    order = ranked(judged_so_far, metric)
    fresh = list(range(seeds, seeds + final_seeds))
    best = order[0].knobs
    finalist = Sweep(model, data, {"seed": fresh}, **fixed(knobs, largest, read(best)), **best)
    return Search(metric, tuple(spaces), tuple(found), tuple(order), finalist, kept)


def fixed(knobs: Config, whole: Sweep, names: Set[str]) -> dict[str, Any]:
    """A sweep's other keywords; of the knobs that it fixes, those of these names."""
    return only(knobs, (knobs.keys() - set(whole.given)) | names)


def extremes(space: Space) -> list[dict[str, Any]]:
    """Configs that have both ends of every range, and every choice of every list."""
    columns = {k: [v.low, v.high] if isinstance(v, Range) else v for k, v in space.items()}
    count = max(len(values) for values in columns.values())
    return [{k: values[i % len(values)] for k, values in columns.items()} for i in range(count)]


def own_directory(out: Path) -> Path:
    """The directory of a new search, or of one to continue; UsageError for other people's."""
    if out.is_dir() and any(out.iterdir()) and not (out / "stage1").exists():
        raise UsageError(f"{out} is not empty and holds no search; choose a new directory")
    return out
