"""Does dropout keep a network from fitting 300 images by heart?

Source: Saito, "Deep Learning from Scratch", section 6.4.3: 300 MNIST images, 784-6x100-10 ReLU, SGD
at 0.01, batches of 100, 301 epochs, dropout 0.2 of every hidden layer. Here: the first 300 images
after the 5,000 that nnlab holds out; the gap is training minus test accuracy at the end.
Expected: the gap shrinks, and the training images are no longer all right.

About 1 minute on 2 cores.    python scripts/dropout_overfit.py
"""

from pathlib import Path

import nnlab
from nnlab.cli.script import conclude, run
from nnlab.report import configs, learning_curves
from nnlab.studies.derived import by_part, with_gap
from nnlab.studies.published import less_overfitting

IMAGES, HELD_OUT, EPOCHS = 300, 1000, 301
RATE = 0.2


def main(
    out: Path = Path("runs/dropout_overfit"),
    data: str = "mnist",
    seeds: int = 5,
    fast: bool = False,
) -> None:
    """Train with and without dropout, draw both accuracies, judge the book's claims."""
    images = nnlab.data.load(data, scaling="unit")
    sweep = nnlab.Sweep(
        nnlab.models.mlp([100] * (2 if fast else 6)),
        nnlab.data.excerpt(images, IMAGES, HELD_OUT),
        {"dropout": [0.0, RATE], "seed": range(seeds)},
        record="train_accuracy",
        optimizer="sgd",
        learning_rate=0.01,
        epochs=4 if fast else EPOCHS,
    )
    results = with_gap(sweep.run(out / "runs"))
    why = "six layers of noise slow SGD down: training accuracy still rises, and both fall together"
    verdicts = less_overfitting(results, "dropout", why)
    curves = learning_curves(by_part(results), "accuracy", hue="part", col="dropout")
    conclude("dropout_overfit", out, verdicts, {"curves": curves}, {"table": configs(results)})


if __name__ == "__main__":
    run(main)
