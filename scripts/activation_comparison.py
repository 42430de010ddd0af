"""Use ReLU first and never sigmoid: does the advice hold when each activation is tuned?

Source: the lecture's advice on activations. Here: all of nnlab's activations in 64-5x100-10 on the
digits with Adam. Learning rate (12) and initial weights (Xavier, He, LSUV) are chosen for each on
validation data with three seeds; then 10 fresh ones are tested and compared with ReLU's, in pairs.
Expected: nothing is clearly better than ReLU, and sigmoid is clearly worse.

About 6 minutes on 2 cores.    python scripts/activation_comparison.py
"""

from pathlib import Path

import nnlab
from nnlab.cli.script import conclude, run
from nnlab.nn.activations import ACTIVATIONS
from nnlab.report import against, differences
from nnlab.report.style import listed
from nnlab.report.table import points
from nnlab.studies import Verdict
from nnlab.sweeps.confirm import confirm

TOY = ["relu", "sigmoid"]
CHOOSING = [0, 101, 102]
"""One seed is not enough: by luck it prefers a rate at which others fall behind."""


def main(
    out: Path = Path("runs/activation_comparison"),
    data: str = "digits",
    seeds: int = 10,
    fast: bool = False,
) -> None:
    """Choose for each activation, test with fresh seeds, compare with ReLU."""
    sweep = nnlab.Sweep(
        nnlab.models.mlp([100] * (2 if fast else 5)),
        nnlab.data.excerpt(nnlab.data.load(data), 2_000, 1_000, 2_000),
        {
            "activation": TOY if fast else [*ACTIVATIONS],
            "init": ["he"] if fast else ["xavier", "he", "lsuv"],
            "learning_rate": nnlab.log_space(1e-4, 1e-1, 2 if fast else 12),
            "seed": [0] if fast else CHOOSING,
        },
        optimizer="adam",
        epochs=1 if fast else 15,
    )
    chosen = sweep.run(out / "chosen")
    lost = chosen.diverged.all(["init", "learning_rate", "seed"]).values
    names = chosen.labels("activation")
    chosen = chosen.sel(activation=names[~lost])  # e^x overflows in five layers, at any rate
    tested = confirm(sweep, chosen, "activation", range(1, 1 + seeds), out / "tested")
    table = against(tested, "activation", "relu")
    fell = f"; {listed(names[lost].tolist())} diverged at every rate" if lost.any() else ""
    gap = tested.difference("test_accuracy", "activation", "relu")
    better = table["activation"][table["verdict"] == "better"].tolist()
    best = str(table["activation"].iloc[0])
    verdicts = [
        Verdict(
            "ReLU first: no activation is better",
            "advice without numbers",
            f"{len(better) or 'none'} of {len(table) - 1} are better"
            f"{f' ({listed(better)})' * bool(better)}; highest: {best}, "
            f"{points(gap.sel(activation=best))} above ReLU{fell}",
            not better,
            "smooth or leaky relatives of ReLU gain a little where each is tuned",
        ),
        Verdict(
            "never sigmoid: it is worse than ReLU",
            "advice without numbers",
            f"sigmoid minus ReLU: {points(gap.sel(activation='sigmoid'))} of test accuracy",
            bool(gap["high"].sel(activation="sigmoid") < 0),
            "with its own learning rate and initial weights sigmoid is not separated from ReLU",
        ),
    ]
    figures = {"differences": differences(tested, "activation", "relu")}
    conclude("activation_comparison", out, verdicts, figures, {"table": table})


if __name__ == "__main__":
    run(main)
