"""Does batch norm make a network learn whatever the scale of its first weights?

Source: Saito, "Deep Learning from Scratch", section 6.3.2: the first 1,000 MNIST images,
784-5x100-10 ReLU, 16 standard deviations from 1 to 0.0001, SGD at 0.01, batches of 100, 20 epochs.
Here: the first 1,000 after the 5,000 that nnlab holds out, and all runs in one program.
Expected: with batch norm learning is faster at almost every scale; without it most do not learn.

About 1 minute on 2 cores.    python scripts/batch_norm_scales.py
"""

from pathlib import Path

import nnlab
from nnlab.cli.script import conclude, run
from nnlab.report import learning_curves
from nnlab.report.table import configs
from nnlab.studies import Verdict
from nnlab.studies.derived import with_mean_over_epochs

IMAGES, HELD_OUT = 1000, 1000
LEARNED = 0.5
"""Training accuracy from which a network of ten classes has learned something."""


def main(
    out: Path = Path("runs/batch_norm_scales"),
    data: str = "mnist",
    seeds: int = 3,
    fast: bool = False,
) -> None:
    """Train 16 scales with and without batch norm, draw 16 panels, judge the book's claims."""
    images = nnlab.data.load(data, scaling="unit")
    scales = nnlab.log_space(1e-4, 1.0, 4 if fast else 16)[::-1]
    sweep = nnlab.Sweep(
        nnlab.models.mlp([100] * (2 if fast else 5)),
        nnlab.data.excerpt(images, IMAGES, HELD_OUT),
        {
            "init": [f"normal({scale:.3g})" for scale in scales],
            "batch_norm": [True, False],
            "seed": range(seeds),
        },
        record="train_accuracy",
        optimizer="sgd",
        learning_rate=0.01,
        epochs=3 if fast else 20,
    )
    results = with_mean_over_epochs(sweep.run(out / "runs"), "train_accuracy")
    gain = results.difference("mean_train_accuracy", "batch_norm", False).sel(batch_norm=True)
    faster = int((gain["low"] > 0).sum())
    learned = (results.mean("train_accuracy")["mean"] > LEARNED).sum("init")
    with_, without = (int(learned.sel(batch_norm=on)) for on in (True, False))
    n = len(scales)
    slower = ", ".join(str(s) for s in results.labels("init")[(gain["low"] <= 0).values])
    verdicts = [
        Verdict(
            "batch norm learns faster at almost every scale",
            "almost all of 16 panels, one run each",
            f"{faster} of {n} scales, each with an interval above 0",
            faster >= n - 2,
            f"not faster from {slower}: near He's scale a plain network learns faster, and at 1e-4 "
            "a unit's variance is smaller than the 1e-5 that batch norm adds to it",
        ),
        Verdict(
            "without batch norm most scales do not learn",
            "no progress unless the scale is right",
            f"more than half of the training images right after the last epoch: {with_} of {n} "
            f"scales with batch norm, {without} without",
            without < n / 2 <= with_,
            "see the panels: where SGD's first steps are too small or too large",
        ),
    ]
    curves = learning_curves(
        results, "train_accuracy", hue="batch_norm", col="init", most_panels=len(scales)
    )
    conclude("batch_norm_scales", out, verdicts, {"curves": curves}, {"table": configs(results)})


if __name__ == "__main__":
    run(main)
