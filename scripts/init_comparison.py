"""How far do the first weights decide whether a deep ReLU network learns?

Source: Saito, "Deep Learning from Scratch", section 6.2.4: MNIST, 784-4x100-10, SGD at 0.01, 2,000
batches of 128. Here: 20 epochs of the first 12,800 images, which are 2,000 batches too.
Expected: standard deviation 0.01 does not learn, Xavier does, He learns fastest.

About 1 minute on 2 cores.    python scripts/init_comparison.py
"""

from pathlib import Path

import nnlab
from nnlab.cli.script import conclude, run
from nnlab.report import learning_curves
from nnlab.report.table import configs, spoken
from nnlab.studies import Verdict
from nnlab.studies.derived import with_mean_over_epochs

INITS = ["normal(0.01)", "xavier", "he"]
STEPS, BATCH, IMAGES, HELD_OUT = 2000, 128, 12_800, 1000
GUESSING = 0.2
"""Validation accuracy below which a network of ten classes has learned nothing of use."""


def main(
    out: Path = Path("runs/init_comparison"),
    data: str = "mnist",
    seeds: int = 5,
    fast: bool = False,
) -> None:
    """Train from three initial weights, draw the training loss, judge the book's claims."""
    images = nnlab.data.excerpt(nnlab.data.load(data, scaling="unit"), IMAGES, HELD_OUT)
    sweep = nnlab.Sweep(
        nnlab.models.mlp([100] * (2 if fast else 4)),
        images,
        {"init": INITS, "seed": range(seeds)},
        optimizer="sgd",
        learning_rate=0.01,
        batch_size=BATCH,
        epochs=nnlab.data.epochs_for(images, 50 if fast else STEPS, BATCH),
    )
    results = with_mean_over_epochs(sweep.run(out / "runs"), "train_loss")
    small = results.mean("val_accuracy").sel(init="normal(0.01)")
    faster = results.difference("mean_train_loss", "init", "xavier").sel(init="he")
    verdicts = [
        Verdict(
            "standard deviation 0.01 does not learn",
            "its loss stays where it began",
            f"validation accuracy {spoken(small, 'accuracy')} at the end",
            bool(small["mean"] < GUESSING),
            "it leaves the plateau before the end of the run",
        ),
        Verdict(
            "He's weights learn faster than Xavier's",
            "He's loss falls first",
            f"mean training loss, He minus Xavier: {spoken(faster, 'loss')}",
            bool(faster["high"] < 0),
            "the interval over seeds reaches 0",
        ),
    ]
    figures = {"curves": learning_curves(results, "train_loss", hue="init")}
    conclude("init_comparison", out, verdicts, figures, {"table": configs(results)})


if __name__ == "__main__":
    run(main)
