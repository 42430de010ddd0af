"""Which of SGD, Momentum, AdaGrad and Adam lowers the training loss fastest?

Source: Saito, "Deep Learning from Scratch", section 6.1.8: MNIST, 784-4x100-10 from He's weights,
2,000 batches of 128, rates 0.01 (Adam 0.001). Here: 20 epochs of the first 12,800 images, which
are 2,000 batches too.
Expected: SGD is slowest, the other three are close together, AdaGrad a little ahead.

About 1 minute on 2 cores.    python scripts/optimizer_comparison.py
"""

from pathlib import Path

import nnlab
from nnlab.cli.script import conclude, run
from nnlab.report import learning_curves
from nnlab.report.table import configs, spoken
from nnlab.studies import Verdict
from nnlab.studies.derived import with_mean_over_epochs
from nnlab.sweeps.confirm import along

RATES = {"sgd": 0.01, "momentum": 0.01, "adagrad": 0.01, "adam": 0.001}
STEPS, BATCH, IMAGES, HELD_OUT = 2000, 128, 12_800, 1000


def main(
    out: Path = Path("runs/optimizer_comparison"),
    data: str = "mnist",
    seeds: int = 5,
    fast: bool = False,
) -> None:
    """Train with four optimizers at the book's rates, draw the training loss, judge."""
    images = nnlab.data.excerpt(nnlab.data.load(data, scaling="unit"), IMAGES, HELD_OUT)
    pairs = [{"optimizer": name, "learning_rate": rate} for name, rate in RATES.items()]
    sweep = nnlab.Sweep(
        nnlab.models.mlp([100] * (2 if fast else 4)),
        images,
        {"config": pairs, "seed": range(seeds)},
        init="he",
        batch_size=BATCH,
        epochs=nnlab.data.epochs_for(images, 50 if fast else STEPS, BATCH),
    )
    results = with_mean_over_epochs(along(sweep.run(out / "runs"), "optimizer"), "train_loss")
    below_sgd = results.difference("mean_train_loss", "optimizer", "sgd")
    rivals = [name for name in RATES if name != "sgd"]
    nearest = max(rivals, key=lambda name: float(below_sgd["high"].sel(optimizer=name)))
    mean = results.mean("mean_train_loss")["mean"]
    first, second = sorted(RATES, key=lambda name: float(mean.sel(optimizer=name)))[:2]
    ahead = results.difference("mean_train_loss", "optimizer", second).sel(optimizer=first)
    verdicts = [
        Verdict(
            "SGD is slower than Momentum, AdaGrad and Adam",
            "its loss falls last",
            f"mean training loss of the nearest, {nearest}, minus SGD: "
            f"{spoken(below_sgd.sel(optimizer=nearest), 'loss')}",
            bool((below_sgd["high"].sel(optimizer=rivals) < 0).all()),
            f"SGD's interval beside {nearest} reaches 0",
        ),
        Verdict(
            "AdaGrad is fastest",
            "by a little, in one run",
            f"{first}, mean training loss minus {second}'s: {spoken(ahead, 'loss')}",
            first == "adagrad" and bool(ahead["high"] < 0),
            f"at the book's rates {first} is ahead over {seeds} seeds",
        ),
    ]
    figures = {"curves": learning_curves(results, "train_loss", hue="optimizer")}
    conclude("optimizer_comparison", out, verdicts, figures, {"table": configs(results)})


if __name__ == "__main__":
    run(main)
