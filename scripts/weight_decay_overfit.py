"""Does weight decay keep a network from fitting 300 images by heart?

Source: Saito, "Deep Learning from Scratch", section 6.4.2: 300 MNIST images, 784-6x100-10 ReLU, SGD
at 0.01, batches of 100, 201 epochs, weight decay 0.1. Here: the first 300 images after the
5,000 that nnlab holds out; the gap is training minus test accuracy at the end.
Expected: the gap shrinks, and the training images are no longer all right.

About 1 minute on 2 cores.    python scripts/weight_decay_overfit.py
"""

from pathlib import Path

import nnlab
from nnlab.cli.script import conclude, run
from nnlab.report import configs, learning_curves
from nnlab.studies.derived import by_part, with_gap
from nnlab.studies.published import less_overfitting

IMAGES, HELD_OUT, EPOCHS = 300, 1000, 201
DECAY = 0.1


def main(
    out: Path = Path("runs/weight_decay_overfit"),
    data: str = "mnist",
    seeds: int = 5,
    fast: bool = False,
) -> None:
    """Train with and without weight decay, draw both accuracies, judge the book's claims."""
    images = nnlab.data.load(data, scaling="unit")
    sweep = nnlab.Sweep(
        nnlab.models.mlp([100] * (2 if fast else 6)),
        nnlab.data.excerpt(images, IMAGES, HELD_OUT),
        {"weight_decay": [0.0, DECAY], "seed": range(seeds)},
        record="train_accuracy",
        optimizer="sgd",
        learning_rate=0.01,
        epochs=4 if fast else EPOCHS,
    )
    results = with_gap(sweep.run(out / "runs"))
    why = "both accuracies move together: the interval of the gap's change reaches 0"
    verdicts = less_overfitting(results, "weight_decay", why)
    curves = learning_curves(by_part(results), "accuracy", hue="part", col="weight_decay")
    conclude("weight_decay_overfit", out, verdicts, {"curves": curves}, {"table": configs(results)})


if __name__ == "__main__":
    run(main)
