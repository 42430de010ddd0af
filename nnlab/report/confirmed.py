"""What fresh seeds say of a choice, beside what those said that chose it."""

from typing import Any

import numpy as np
import pandas as pd

from nnlab.report.style import capital, words
from nnlab.report.table import shown_metric, spoken
from nnlab.sweeps.draws import over_draws
from nnlab.sweeps.metrics import score
from nnlab.sweeps.results import Results


def confirmed(results: Results, fresh: Results) -> str:
    """The best config's score, by the seeds that chose it and by fresh ones, in one sentence."""
    metric, chosen = shown_metric(fresh), over_draws(results)
    was, now = chosen.tuned().mean(metric), over_draws(fresh).mean(metric)
    return (
        f"Chosen among {chosen.configs:,} configs: {words(metric)} {spoken(was, metric)}; "
        f"on {seeds(fresh, 'fresh ')}: {spoken(now, metric)}."
    )


def confirmed_values(results: Results, fresh: Results) -> tuple[str, pd.DataFrame]:
    """The same of each value of the axis that `fresh` has, all else at its best: title and rows.

    The best by fresh seeds comes first.
    """
    metric, chosen, anew = shown_metric(fresh), over_draws(results), over_draws(fresh)
    (axis,) = anew.axes
    kept = chosen.sel(**{axis: anew.labels(axis).tolist()})
    others = [name for name in chosen.axes if name != axis]
    was, now = kept.tuned(kept.headline, others).mean(metric), anew.mean(metric)
    rows: dict[str, Any] = {words(knob): anew.labels(knob) for knob in anew.knobs}
    for by, found in ((seeds(results, "choosing "), was), (seeds(fresh, "fresh "), now)):
        cells = [found.isel({axis: place}) for place in range(found.sizes[axis])]
        rows[f"by {by}"] = [spoken(cell, metric) for cell in cells]
    order = np.argsort(-score(now["mean"].values, metric), kind="stable")
    title = f"{words(metric)} of each {words(axis)} at its best, of {chosen.configs:,} configs"
    return capital(title), pd.DataFrame(rows).iloc[order]


def seeds(results: Results, kind: str) -> str:
    """How many seeds there are, and of which kind."""
    n = results.dataset.sizes["seed"]
    return f"{n} {kind}seed{'s' * (n > 1)}"
