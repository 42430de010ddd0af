"""How far does each step of the lecture's ladder carry on MNIST, and are we sure?

Source: the lecture's lab: Adam at 0.001, 15 epochs of batches of 100, pixels / 255, 55,000 training
images, biases from N(0, 1). Each rung adds one idea: softmax, a net of two hidden layers of 256,
Xavier's weights, four hidden layers of 512, dropout of 0.3; beyond the published rungs, batch
normalisation and an ensemble of the seeds. The lab gives test accuracies and the mean costs of
epochs 1 and 15, from one run each. Expected: its accuracies to half a point, its costs to 10 %, or
both to what one more run of ours may differ by. Its deep net is an unlucky run.

About 15 minutes on 2 cores.    python scripts/mnist_ladder.py --out runs/mnist_ladder
"""

from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import numpy as np
import xarray as xr

import nnlab
from nnlab.cli.script import conclude, run
from nnlab.report import configs
from nnlab.studies import Verdict, beside
from nnlab.studies.published import improves, one_run

CLOSE, NEAR = 0.005, 0.1
"""How far a mean may be from the published number: of an accuracy; of a cost, as a share of it."""
KNOBS, XAVIER = ("hidden", "init", "dropout", "batch_norm"), "glorot_uniform"
LOOP = "a loop in plain optax, without nnlab, has a cost of 0.297 in epoch 1 (two seeds)"


class Rung(NamedTuple):
    """What a rung trains, and the lab's test accuracy and mean costs of epochs 1 and 15."""

    knobs: tuple[list[int], str, float, bool]
    """As KNOBS names them."""
    lab: tuple[float, float, float] = (np.nan, np.nan, np.nan)
    checked: str = ""
    """What looking into a difference showed."""


RUNGS = {
    "softmax": Rung(([], "normal(1)", 0.0, False), (0.9035, 5.889, 0.4065)),
    "neural net": Rung(([256] * 2, "normal(1)", 0.0, False), (0.9455, 141.2, 0.4546)),
    "+ Xavier": Rung(([256] * 2, XAVIER, 0.0, False), (0.9783, 0.3015, 0.0047)),
    "deep": Rung(([512] * 4, XAVIER, 0.0, False), (0.9742, 0.2661, 0.0043), LOOP),
    "+ dropout": Rung(([512] * 4, XAVIER, 0.3, False), (0.9804, 0.4473, 0.0436)),
    "+ batch norm": Rung(([512] * 4, XAVIER, 0.3, True)),
}
NAMES = list(RUNGS)


def beside_the_lab(results: nnlab.Results, setting: str) -> list[Verdict]:
    """Ours and the lab's accuracies and costs; `setting` says what else may tell them apart."""
    verdicts, last = [], min(15, int(results.labels("epoch")[-1]))
    for i, (name, (_, lab, checked)) in enumerate(RUNGS.items()):
        numbers: list[tuple[str, str, int | None, float]] = [
            ("test accuracy", "test_accuracy", None, CLOSE),
            ("mean cost of epoch 1", "train_loss", 1, NEAR * lab[1]),
            ("mean cost of epoch 15", "train_loss", last, NEAR * lab[2]),
        ]
        for (what, metric, epoch, room), published in zip(numbers, lab, strict=True):
            if np.isfinite(published):
                ours, claim = results.values(metric, epoch)[i].values, f"{name}: {what}"
                verdicts.append(one_run(claim, published, ours, metric, room, setting or checked))
    return verdicts


def steps(results: nnlab.Results) -> list[Verdict]:
    """Whether each idea stands above the rung below it, paired by seed."""
    verdicts = []
    for i, (below, name) in enumerate(pairwise(NAMES)):
        gap = results.difference("test_accuracy", "config", i)[{"config": i + 1}]
        lab = 100 * (RUNGS[name].lab[0] - RUNGS[below].lab[0])
        said = "–" if np.isnan(lab) else f"{lab:+.2f} points, one run each"
        verdicts.append(improves(f"{name} improves on {below}", said, gap))
    return verdicts


def together(ensembles: xr.Dataset) -> Verdict:
    """Whether the ensemble of the highest rung's seeds beats its members."""
    alone, whole = ensembles.isel(config=-1, members=0), ensembles.isel(config=-1, members=-1)
    ours = f"{100 * alone['accuracy']:.2f} → {100 * whole['accuracy']:.2f} % with "
    ours += f"{int(whole['n'])}; cross-entropy {alone['loss']:.4f} → {whole['loss']:.4f}"
    better, why = bool(whole["accuracy"] > alone["accuracy"]), "they err on the same images"
    return Verdict("an ensemble of the seeds beats its members", "it does", ours, better, why)


def main(
    out: Path = Path("runs/mnist_ladder"), data: str = "mnist", seeds: int = 3, fast: bool = False
) -> None:
    """Train every rung in one sweep, draw the ladder, hold it against the lab's numbers."""
    rungs = [dict(zip(KNOBS, rung.knobs, strict=True)) for rung in RUNGS.values()]
    if fast:
        rungs = [rung | {"hidden": [16] * bool(rung["hidden"])} for rung in rungs]
    sweep = nnlab.Sweep(
        data=nnlab.data.load(data, scaling="unit"),
        axes={"config": rungs, "seed": range(seeds)},
        record="test_outputs",
        bias_init="normal(1)",
        epochs=2 if fast else 15,
    )
    results = sweep.run(out / "runs")
    ensembles = nnlab.ensemble(results)
    others = {
        "the lab, one run": [rung.lab[0] for rung in RUNGS.values()],
        f"ensemble of {seeds}": ensembles["accuracy"][:, -1].values,
    }
    notes = "Bars are 95 % intervals over seeds.", f"{results.dataset.attrs['data_description']}."
    title = "The MNIST ladder: one idea more on each rung"
    mean = results.mean("test_accuracy")
    figures = {"ladder": beside(NAMES, mean, others, "test_accuracy", title, notes)}
    setting = f"not the lab's setting: {data}, toy size" if fast or data != "mnist" else ""
    verdicts = [*beside_the_lab(results, setting), *steps(results), together(ensembles)]
    tables = {"ladder": configs(results), "ensembles": ensembles.to_dataframe().reset_index()}
    conclude("mnist_ladder", out, verdicts, figures, tables)


if __name__ == "__main__":
    run(main)
