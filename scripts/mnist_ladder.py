"""How far does each step of the lecture's ladder carry on MNIST, and are we sure?

Source: the lecture's lab: Adam at 0.001, 15 epochs of batches of 100, pixels / 255, 55,000 training
images, biases from N(0, 1). Each rung adds one idea: softmax, a net of two hidden layers of 256,
Xavier's weights, four hidden layers of 512, dropout of 0.3; beyond the published rungs, batch
normalisation and an ensemble of the seeds. The lab gives test accuracies and the mean costs of
epochs 1 and 15, from one run each. Expected: its accuracies to half a point, its costs to 10 %, or
both to what one more run of ours may differ by. Its deep net is an unlucky run.

About 15 minutes on 2 cores.    python scripts/mnist_ladder.py --out runs/mnist_ladder
"""

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import xarray as xr
from matplotlib.figure import Figure

import nnlab
from nnlab.cli.script import conclude, run
from nnlab.report import Verdict, beside
from nnlab.report.table import points, spoken
from nnlab.sweeps.statistics import Interval

CLOSE = 0.005
"""How far a mean accuracy may be from the published one."""
NEAR = 0.1
"""How far a mean cost may be from the published one, as a share of it."""
XAVIER = "glorot_uniform"


class Rung(NamedTuple):
    """What a rung trains, and what the lab found: accuracy, mean costs of epochs 1 and 15."""

    hidden: list[int]
    init: str
    dropout: float = 0.0
    batch_norm: bool = False
    accuracy: float = np.nan
    costs: tuple[float, float] = (np.nan, np.nan)
    checked: str = ""
    """What looking into a difference showed."""


LOOP = "a loop in plain optax, without nnlab, has a cost of 0.297 in epoch 1 (two seeds)"
RUNGS = {
    "softmax": Rung([], "normal(1)", accuracy=0.9035, costs=(5.889, 0.4065)),
    "neural net": Rung([256] * 2, "normal(1)", accuracy=0.9455, costs=(141.2, 0.4546)),
    "+ Xavier": Rung([256] * 2, XAVIER, accuracy=0.9783, costs=(0.3015, 0.0047)),
    "deep": Rung([512] * 4, XAVIER, accuracy=0.9742, costs=(0.2661, 0.0043), checked=LOOP),
    "+ dropout": Rung([512] * 4, XAVIER, 0.3, accuracy=0.9804, costs=(0.4473, 0.0436)),
    "+ batch norm": Rung([512] * 4, XAVIER, 0.3, True),
}
NAMES = list(RUNGS)


def configs(fast: bool) -> list[dict[str, Any]]:
    """The rungs' knobs; for a first look with one hidden layer of 16 at most."""
    found = [dict(list(rung._asdict().items())[:4]) for rung in RUNGS.values()]
    return [c | {"hidden": [16] * bool(c["hidden"])} for c in found] if fast else found


def train(out: Path, data: str, seeds: int, fast: bool) -> nnlab.Results:
    """All rungs in one sweep, which keeps test outputs for the ensembles."""
    sweep = nnlab.Sweep(
        data=nnlab.data.load(data, scaling="unit"),
        axes={"config": configs(fast), "seed": range(seeds)},
        record="test_outputs",
        bias_init="normal(1)",
        epochs=2 if fast else 15,
    )
    return sweep.run(out / "runs")


def beside_the_lab(results: nnlab.Results, setting: str) -> list[Verdict]:
    """Ours and the lab's accuracies and costs; `setting` says what else may tell them apart.

    The lab's number is one run's: it may be as far from our mean as one more run of ours, 95 % of
    the time, that is t s sqrt(1 + 1/n); or as far as CLOSE and NEAR allow.
    """
    verdicts, last = [], int(results.labels("epoch")[-1])
    for i, (name, rung) in enumerate(RUNGS.items()):
        numbers: list[tuple[str, str, int | None, float]] = [
            ("test accuracy", "test_accuracy", None, rung.accuracy),
            ("mean cost of epoch 1", "train_loss", 1, rung.costs[0]),
            ("mean cost of epoch 15", "train_loss", min(15, last), rung.costs[1]),
        ]
        for what, metric, epoch, lab in numbers if np.isfinite(rung.accuracy) else []:
            ours = results.mean(metric, epoch=epoch)[{"config": i}]
            runs = results.values(metric, epoch)[i].values
            one_more = float(ours["high"] - ours["mean"]) * np.sqrt(len(runs) + 1)
            room = np.fmax(one_more, NEAR * lab if epoch else CLOSE)
            why = f"the lab's is one run, ours span {min(runs):.4g} to {max(runs):.4g}"
            why = setting or why + f"; {rung.checked}" * bool(rung.checked)
            said = f"{lab:g}" if epoch else f"{100 * lab:.2f} %", spoken(ours, metric)
            holds = bool(abs(float(ours["mean"]) - lab) <= room)
            verdicts.append(Verdict(f"{name}: {what}", *said, holds, why))
    return verdicts


def steps(results: nnlab.Results) -> list[Verdict]:
    """Whether each idea stands above the rung below it, paired by seed."""
    verdicts = []
    for i, name in enumerate(NAMES[1:], start=1):
        gap = results.difference("test_accuracy", "config", i - 1)[{"config": i}]
        lab = 100 * (RUNGS[name].accuracy - RUNGS[NAMES[i - 1]].accuracy)
        said = "–" if np.isnan(lab) else f"{lab:+.2f} points, one run each"
        holds = bool(gap["low"] > 0)
        why = "the interval over seeds is not above 0"
        claim = f"{name} improves on {NAMES[i - 1]}"
        verdicts.append(Verdict(claim, said, points(gap), holds, why))
    return verdicts


def together(ensembles: xr.Dataset) -> Verdict:
    """Whether the ensemble of the highest rung's seeds beats its members."""
    alone, whole = ensembles.isel(config=-1, members=0), ensembles.isel(config=-1, members=-1)
    better = bool(whole["accuracy"] > alone["accuracy"])
    ours = f"{100 * alone['accuracy']:.2f} → {100 * whole['accuracy']:.2f} % with "
    ours += f"{int(whole['n'])}; cross-entropy {alone['loss']:.4f} → {whole['loss']:.4f}"
    why = "the members err on the same images"
    return Verdict("an ensemble of the seeds beats its members", "it does", ours, better, why)


def table(results: nnlab.Results, ensembles: xr.Dataset) -> pd.DataFrame:
    """A row for each rung: ours with intervals, the lab's, the ensemble's."""
    rows: dict[str, Any] = {"rung": NAMES}
    accuracy = results.mean("test_accuracy")
    rows |= {f"test_accuracy_{k}": accuracy[k].values for k in ("mean", "low", "high", "n")}
    rows["lab_test_accuracy"] = [rung.accuracy for rung in RUNGS.values()]
    for place, epoch in enumerate(results.labels("epoch")[[0, -1]]):
        cost = results.mean("train_loss", epoch=int(epoch))
        rows |= {f"cost_{epoch}_{k}": cost[k].values for k in ("mean", "low", "high")}
        rows[f"lab_cost_{(1, 15)[place]}"] = [rung.costs[place] for rung in RUNGS.values()]
    rows["ensemble_accuracy"] = ensembles["accuracy"].isel(members=-1).values
    rows["members_loss"] = ensembles["loss"].isel(members=0).values
    rows["ensemble_loss"] = ensembles["loss"].isel(members=-1).values
    return pd.DataFrame(rows)


def draw(results: nnlab.Results, ensembles: xr.Dataset) -> Figure:
    """The ladder: test errors, each with the lab's and the ensemble's beside it."""
    found = results.mean("test_accuracy")
    errors = Interval(*(1 - found[k].values for k in ("mean", "high", "low")), n=found["n"].values)
    others = {
        "the lab, one run": [1 - rung.accuracy for rung in RUNGS.values()],
        f"ensemble of {ensembles.sizes['members']}": 1 - ensembles["accuracy"][:, -1].values,
    }
    notes = "Bars are 95 % intervals over seeds.", f"{results.dataset.attrs['data_description']}."
    title = "The MNIST ladder: one idea more on each rung"
    return beside(NAMES, errors, others, "test_error", title, notes)


def main(
    out: Path = Path("runs/mnist_ladder"), data: str = "mnist", seeds: int = 3, fast: bool = False
) -> None:
    """Train every rung, draw the ladder, hold it against the lab's numbers."""
    results = train(out, data, seeds, fast)
    ensembles = nnlab.ensemble(results)
    setting = f"not the lab's setting: {data}, toy size" if fast or data != "mnist" else ""
    verdicts = [*beside_the_lab(results, setting), *steps(results), together(ensembles)]
    figures = {"ladder": draw(results, ensembles)}
    conclude("mnist_ladder", out, verdicts, figures, {"ladder": table(results, ensembles)})


if __name__ == "__main__":
    run(main)
