"""What a reader should know before believing a result, said aloud."""

import numpy as np

from nnlab.report.select import most_seeds, varied
from nnlab.report.style import number, text, words
from nnlab.report.table import leaders
from nnlab.sweeps.draws import over_draws
from nnlab.sweeps.metrics import larger_is_better
from nnlab.sweeps.results import CONSTANT, Results


def cautions(results: Results) -> list[str]:
    """One sentence for each reason to doubt: unfinished, diverged, few seeds, best at a border."""
    said = [_unfinished(results), _diverged(results), _seeds(results)]
    if bool((results.finished & ~results.diverged).any()):
        said += [_nothing_learned(over_draws(results)), *_borders(over_draws(results))]
    return [sentence for sentence in said if sentence]


def _unfinished(results: Results) -> str:
    missing = int((~results.finished).sum())
    if not missing:
        return ""
    return (
        f"{missing:,} of {results.finished.size:,} runs are not finished and count nowhere; "
        "run the sweep again into the same folder to finish them."
    )


def _diverged(results: Results) -> str:
    finished, lost = int(results.finished.sum()), int(results.diverged.sum())
    if not lost:
        return ""
    if lost == finished:
        return "Every finished run diverged: nothing was learned; try smaller learning rates."
    share = f"{lost:,} of {finished:,} finished runs diverged ({_percent(lost / finished)})"
    where = _most_often(results)
    return f"{share}{', most often at ' + where if where else ''}."


def _most_often(results: Results) -> str:
    """The value with the largest share of diverged runs, if it is clearly above the average."""
    finished, lost = results.finished, results.diverged
    worst = (1.5 * float(lost.sum() / finished.sum()), "")
    for axis in varied(results):
        if axis == "config":
            continue
        others = [d for d in lost.dims if d != axis]
        share = (lost.sum(others) / finished.sum(others).where(lambda n: n > 0)).fillna(0).values
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
