"""Random search from coarse to fine: draw configs, train them a little, narrow the ranges, repeat.

Drawing at random beats a grid where few knobs matter, since every trial tries a new value of each
(Bergstra & Bengio, JMLR 13, 2012). Trials are judged on validation data; test data are looked at
once, by `Search.final`, for the one config that was chosen.
"""

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from math import ceil, isfinite
from numbers import Real
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from nnlab.data.dataset import Dataset
from nnlab.errors import UsageError
from nnlab.models.model import Model
from nnlab.sweeps.again import again, only
from nnlab.sweeps.axes import CONFIG, read_axes, structure, whole
from nnlab.sweeps.border import crowded
from nnlab.sweeps.choosing import DRAW
from nnlab.sweeps.grid import unread
from nnlab.sweeps.labels import words
from nnlab.sweeps.metrics import check_judge, score
from nnlab.sweeps.recipe import recipe
from nnlab.sweeps.results import Results
from nnlab.sweeps.space import Config, Range, Space, are_one, draw, extremes, narrow, read_space
from nnlab.sweeps.sweep import Sweep


class Trial(NamedTuple):
    """One config of a search and how it did, as a mean over seeds."""

    knobs: dict[str, Any]
    """Those that it reads: the momentum drawn for Adam is none of them."""
    value: float
    stage: int
    config: int
    """Its place in the results of its stage."""
    diverged: bool = False
    """Whether every run of it did: then whatever accuracy it has counts for nothing."""

    @property
    def learned(self) -> bool:
        """Whether it can be the best, and narrow a range."""
        return isfinite(self.value) and not self.diverged


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
        if not self.trials[0].learned:
            return f"Search: {self._lost()}"
        knobs = ", ".join(f"{knob} {words(v, 40)}" for knob, v in self.best.items())
        value = f"{self.metric} {self.trials[0].value:.4g}"
        return f"Search: {knobs} is best of {len(self.trials)} configs, {value}"

    @property
    def best(self) -> dict[str, Any]:
        """The knobs of the best config; of any, where none learned."""
        return self.trials[0].knobs

    def warnings(self) -> list[str]:
        """One line for every range at whose border the best configs crowd: look beyond it.

        A low end of 0 is natural, not a limit. Where no config learned, one line that says so.
        """
        found = []
        alive = [trial.knobs for trial in self.trials if trial.learned]
        if not alive:
            return [self._lost()]
        for knob, values in self.spaces[0].items():
            if not isinstance(values, Range) or knob not in self.best:
                continue
            tried = [knobs[knob] for knobs in alive if knob in knobs]
            side = crowded(tried, values.low, values.high, values.log)
            if side > 0 or (side < 0 and values.low != 0):
                found.append(
                    f"the best {knob}, {self.best[knob]:g}, is near the "
                    f"{'low' if side < 0 else 'high'} end of {values.low:g}..{values.high:g}; "
                    "search beyond it"
                )
        return found

    def final(self, progress: bool = True) -> Results:
        """The best config trained anew from seeds nobody selected by: only now test data count.

        Raises UsageError where no config learned.
        """
        if not self.trials[0].learned:
            raise UsageError(self._lost())
        place = None if self.out is None else self.out / "final"
        return self.finalist.run(place, progress=progress, by=self.metric)

    def _lost(self) -> str:
        """That there is no best."""
        return (
            f"none of {len(self.trials)} configs learned, each diverged or has no finite "
            f"{self.metric}; try smaller learning rates"
        )


@dataclass(frozen=True, eq=False)
class Ground:
    """What a search covers: its space, and what of that and of the fixed knobs a config reads."""

    space: Space
    widest: Sweep
    """Over the `extremes` of the space."""

    def reads(self, config: Config) -> set[str]:
        """The names of the knobs that a config reads, fixed ones too."""
        model, ends = self.widest.model, self.widest.axes[CONFIG]
        named = [end["optimizer"] for end in ends if "optimizer" in end]
        among = named or [self.widest.knobs["optimizer"]]
        known = read_axes(model, {knob: [value] for knob, value in config.items()}, among)
        return self.widest.reads({knob: value for knob, (value,) in known.items()})

    def own(self, config: Config) -> dict[str, Any]:
        """Of a config, the knobs that it reads."""
        return only(self.reads(config), config)

    def sweep(self, configs: Sequence[Config], seeds: Iterable[int]) -> Sweep:
        """These configs along "config", with the knobs that any of them reads."""
        read = set().union(*map(self.reads, configs))
        axes = {CONFIG: [only(read, config) for config in configs], "seed": list(seeds)}
        return again(self.widest, axes, read)

    def alone(self, config: Config, seeds: Iterable[int]) -> Sweep:
        """One config, with the knobs that it reads."""
        return again(self.widest, {"seed": list(seeds)}, self.reads(config), **config)

    def refuse_unread(self, *names: str) -> None:
        """Raise UsageError for a searched or fixed knob, or one of these, that no config reads."""
        asked = (*self.space, *self.widest.given, *names)
        read: set[str] = set()
        for config in self.deciding():
            read |= self.widest.reads({DRAW: 0, **config})
            if read.issuperset(asked):
                return
        name = next(name for name in asked if name not in read)
        recipes = [recipe(self.widest.model, self.widest.knobs | c) for c in self.deciding()]
        raise UsageError(f"{name} changes nothing: {unread(name, recipes)}; leave it out")

    def deciding(self) -> Iterator[dict[str, Any]]:
        """A config for every combination of the choices that decide what else is read."""
        ends = self.widest.axes[CONFIG]
        deciding = ("optimizer", "loss", *structure(self.widest.model))
        listed = {
            knob: [end[knob] for end in ends[: len(values)]]
            for knob, values in self.space.items()
            if knob in deciding and isinstance(values, list)
        }
        for chosen in product(*listed.values()):
            yield ends[0] | dict(zip(listed, chosen, strict=True))


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
    its own, without test metrics, and an interrupted search continues there. A stage in which
    no config learned narrows nothing, and a search that has narrowed to one config is at its end.
    Raises UsageError for an empty range or space, for a knob that no config reads, and where `by`
    is a loss and losses are searched, which are on different scales.
    """
    space = read_space(ranges)
    counts = {"trials": (trials, 2), "stages": (stages, 1), "seeds": (seeds, 1)}
    counts |= {"final_seeds": (final_seeds, 1), "seed": (seed, 0)}
    for name, (value, least) in counts.items():
        whole(name, value, range(least, 10**6))
    if isinstance(keep, bool) or not isinstance(keep, Real) or not 0 < keep < 1:
        raise UsageError(f"keep is a share between 0 and 1, got {words(keep, 60)}; try 0.1")
    widest = Sweep(model, data, {CONFIG: extremes(space)}, **knobs)  # refuses what no draw may be
    check_judge(by, widest.metrics, widest.losses)
    ground = Ground(space, widest)
    ground.refuse_unread(*([DRAW] if own_weights else []))
    kept = None if out is None else own_directory(Path(out))
    random, metric = np.random.default_rng(seed), ""
    spaces: list[Space] = []
    found: list[Results] = []
    judged_so_far: list[Trial] = []
    for stage in range(1, stages + 1):
        configs = draw(space, trials, random, ground.own)
        if stage > 1 and are_one(configs, ground.own):
            break
        drawn = numbered(configs, trials * (stage - 1)) if own_weights else configs
        place = None if kept is None else kept / f"stage{stage}"
        sweep = ground.sweep(drawn, range(seeds)).without_test()
        results = sweep.run(place, progress=progress, by=by)
        metric = metric or results.headline
        now = ranked(judged([*map(ground.own, configs)], results, metric, stage), metric)
        spaces.append(space)
        found.append(results)
        judged_so_far += now
        best = [trial.knobs for trial in now[: ceil(keep * trials)] if trial.learned]
        space = narrow(space, best)
    order = ranked(judged_so_far, metric)
    finalist = ground.alone(order[0].knobs, range(seeds, seeds + final_seeds))
    return Search(metric, tuple(spaces), tuple(found), tuple(order), finalist, kept)


def numbered(configs: Sequence[Config], first: int) -> list[dict[str, Any]]:
    """The configs, each with a draw of initial weights of its own."""
    return [{**config, DRAW: place} for place, config in enumerate(configs, first)]


def judged(
    configs: Sequence[dict[str, Any]], results: Results, metric: str, stage: int
) -> list[Trial]:
    """Each config with its mean over seeds."""
    means = results.mean(metric)["mean"].values.tolist()
    lost = (results.diverged | ~results.finished).all("seed").values.tolist()
    each = zip(configs, means, lost, strict=True)
    return [Trial(knobs, value, stage, i, gone) for i, (knobs, value, gone) in enumerate(each)]


def ranked(trials: Sequence[Trial], metric: str) -> list[Trial]:
    """The best first, those that did not learn last."""
    good = score(np.array([t.value for t in trials]), metric)
    order = np.argsort(-np.where([t.learned for t in trials], good, -np.inf), kind="stable")
    return [trials[i] for i in order]


def own_directory(out: Path) -> Path:
    """The directory of a new search, or of one to continue; UsageError for other people's."""
    if out.is_dir() and any(out.iterdir()) and not (out / "stage1").exists():
        raise UsageError(f"{out} is not empty and holds no search; choose a new directory")
    return out
