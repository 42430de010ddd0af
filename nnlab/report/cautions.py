"""What a reader should know before believing a result, said aloud."""

import numpy as np
import pandas as pd

from nnlab.report.select import most_seeds, varied
from nnlab.report.style import number, text, words
from nnlab.report.table import leaders
from nnlab.sweeps.draws import over_draws
from nnlab.sweeps.metrics import larger_is_better
from nnlab.sweeps.results import CONSTANT, Results

LUCKY = 10
"""Of more configs than so many for each seed the best one is taken for a lucky one."""


def cautions(results: Results, confirming: bool = False) -> list[str]:
    """One sentence for each reason to doubt: unfinished, diverged, few seeds, luck, a border.

    Not of luck where fresh seeds are about to test the best config, `confirming` it.
    """
    said = [_unfinished(results), _diverged(results), _seeds(results)]
    if bool((results.finished & ~results.diverged).any()):
        merged = over_draws(results)
        luck = "" if confirming else _luck(merged)
        said += [luck, _nothing_learned(merged), *_borders(merged)]
    return [sentence for sentence in said if sentence]


def _unfinished(results: Results) -> str:
    missing = results.count(~results.finished)
    if not missing:
        return ""
    return (
        f"{missing:,} of {results.runs:,} runs are not finished and count nowhere; "
        "run the sweep again into the same folder to finish them."
    )


def _diverged(results: Results) -> str:
    finished, lost = results.count(results.finished), results.count(results.diverged)
    if not lost:
        return ""
    if lost == finished:
        return "Every finished run diverged: nothing was learned; try smaller learning rates."
    share = f"{lost:,} of {finished:,} finished runs diverged ({_percent(lost / finished)})"
    where = _most_often(results)
    return f"{share}{', most often at ' + where if where else ''}."


def _most_often(results: Results) -> str:
    """The value with the largest share of diverged runs, if it is clearly above the average.

    Of the runs that read it.
    """
    worst = (1.5 * results.count(results.diverged) / results.count(results.finished), "")
    for axis in varied(results):
        if axis == "config":
            continue
        own = results.distinct & results.reads(axis)
        others = [d for d in results.finished.dims if d != axis]
        lost, n = ((own & part).sum(others) for part in (results.diverged, results.finished))
        share = (lost / n.where(n > 0)).fillna(0).values
        place = int(share.argmax())
        if share[place] > worst[0]:
            label = text(results.labels(axis)[place])
            worst = (share[place], f"{words(axis)} {label} ({_percent(share[place])})")
    return worst[1]


def _seeds(results: Results) -> str:
    n, _ = most_seeds(results)
    if n == 1:
        return "One seed only: nothing here has an interval, and small differences are chance."
    if n == 2:
        return "Two seeds only: a 95 % interval is 12.7 standard errors to either side."
    return ""


def _luck(results: Results) -> str:
    """Whether many configs were compared by so few seeds that the best one flatters itself."""
    compared = int((results.distinct & results.finished.any("seed")).sum())
    n, _ = most_seeds(results)
    if compared <= LUCKY * n:
        return ""
    return (
        f"The best of {compared:,} configs by {n} seed{'s' * (n > 1)}, more than {LUCKY} configs a "
        "seed, is lucky too, and the luck of its runs shows in test scores as well: train it with "
        "fresh seeds (nnlab.confirm, --confirm 5) before you quote it."
    )


def _nothing_learned(results: Results) -> str:
    """Whether one answer for all examples would do as well as the best config."""
    for metric in results.metrics:
        constant = results.dataset.attrs.get(f"{CONSTANT}{metric}")
        if constant is None or not metric.startswith("val_"):
            continue
        best, larger = float(results.best(metric)[metric]), larger_is_better(metric)
        if best <= constant if larger else best >= constant:
            answer = "the most frequent class" if larger else "the mean of the targets"
            targets = "" if larger else ", targets of mean 0 and deviation 1"
            return (
                f"No config does better than answering {answer} always ({words(metric)} "
                f"{number(constant, metric)}): nothing was learned; "
                f"try more epochs, other rates{targets}."
            )
    return ""


def _borders(results: Results) -> list[str]:
    """Where the best value ends its axis: of the best config, and how often among the leaders."""
    metric, said = results.headline, []
    best = results.best(metric)
    for knob in results.knobs:
        side = int(results.border(knob, metric, best[knob]))
        if not side:
            continue
        tried = results.labels(knob)
        tried = tried[pd.notna(tried)]
        low, high = text(tried.min()), text(tried.max())
        end, way = ("largest", "larger") if side > 0 else ("smallest", "smaller")
        if results.dataset[knob].dims == ("config",):
            said.append(
                f"The best configs all lie in the {'upper' if side > 0 else 'lower'} tenth of the "
                f"{words(knob)} that was searched ({low} to {high}); try {way} values."
            )
        else:
            said.append(
                f"The best {words(knob)}, {text(best[knob].values[()])}, is the {end} that was "
                f"tried; the optimum may lie beyond, so try {way} values."
            )
    table = leaders(results)
    if "learning_rate" in varied(results) and len(varied(results)) > 1:
        flagged = int(np.sum(table["at_border"]))
        if flagged:
            said.append(
                f"For {flagged:,} of {len(table):,} settings of the other knobs the best learning "
                "rate is at the border of its range."
            )
    return said


def _percent(share: float) -> str:
    return f"{100 * share:.3g} %"
