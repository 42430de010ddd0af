"""What do initial weights do to the activations of five layers, before anything is trained?

Source: Saito, "Deep Learning from Scratch", section 6.2: 1,000 inputs of 100 standard normal
numbers, five hidden layers of 100, weights of standard deviation 1, 0.01, sqrt(1/n) (Xavier) and
sqrt(2/n) (He). Expected: sigmoid piles up at 0 and 1 with std 1, at 0.5 with std 0.01, and spreads
with Xavier; ReLU dies out with std 0.01, shrinks from layer to layer with Xavier and keeps its
width with He. Beyond the source: tanh, ELU and leaky ReLU, and any data set with --data. Dead units
are 0 for every input; saturated activations have a slope below 0.05.

About 0.5 minutes on 2 cores.    python scripts/activation_histograms.py
"""

from pathlib import Path

import numpy as np
import pandas as pd

import nnlab
from nnlab.cli.script import conclude, run
from nnlab.report import layer_histograms
from nnlab.studies import Verdict

INITS = ["normal(1)", "normal(0.01)", "xavier", "he"]
LECTURE, MORE = ["sigmoid", "tanh", "relu"], ["elu", "leaky_relu"]
COLUMNS = ["layer_mean", "layer_std", "layer_dead", "layer_saturated"]


def inputs(data: str, examples: int) -> nnlab.data.Dataset:
    """Standard normal inputs, all of them looked at, with any labels; or the data set asked for."""
    if data != "normal":
        return nnlab.data.load(data)
    x = np.random.default_rng(0).normal(size=(examples, 100)).astype(np.float32)
    part = (x, np.zeros(examples, np.int32))
    return nnlab.data.from_arrays(
        *part, validation=part, test=part, classes=2, scaling="none", name="normal"
    )


def measure(out: Path, data: nnlab.data.Dataset, seeds: int) -> nnlab.Results:
    """Every layer's statistics at the start."""
    axes = {"init": INITS, "activation": LECTURE + MORE, "seed": range(seeds)}
    sweep = nnlab.Sweep(
        nnlab.models.mlp([100] * 5), data, axes, record="layers",
        epochs=1, batch_size=len(data.train.y), optimizer="sgd",
    )  # fmt: skip
    return sweep.run(out / "runs")


def judge(results: nnlab.Results) -> list[Verdict]:
    """The lecture's conclusions, each as numbers of the layers."""
    start = results.recorded.sel(epoch=0).mean("seed")
    share = start["layer_histogram"] / start["layer_histogram"].sum("value")
    value = share["value"]

    def near(init: str, *places: float) -> float:
        """The share of the last layer's sigmoids in bins that lie within 0.1 of these values."""
        last = share.sel(init=init, activation="sigmoid", layer=5)
        return sum(float(last.where(abs(value - place) < 0.07).sum()) for place in places)

    ends, middle = near("normal(1)", 0, 1), near("normal(0.01)", 0.5)
    most = float(share.sel(init="xavier", activation="sigmoid", layer=5).max())
    std = start["layer_std"]
    faint, shrinks, keeps = (std.sel(activation="relu", init=i).values for i in INITS[1:])

    def path(widths: np.ndarray) -> str:
        return "std " + " → ".join(f"{w:.2g}" for w in widths)

    return [
        Verdict("sigmoid, std 1", "piles up at 0 and 1",
                f"{ends:.0%} within 0.1 of them", ends > 0.5),
        Verdict("sigmoid, std 0.01", "piles up at 0.5",
                f"{middle:.0%} within 0.1 of it", middle > 0.95),
        Verdict("sigmoid, Xavier", "spreads",
                f"at most {most:.0%} in a bin of 0.05", most < 0.3 and ends > 0.5),
        Verdict("ReLU, std 0.01", "dies out", path(faint), bool(faint[-1] < 1e-3 * faint[0])),
        Verdict("ReLU, Xavier", "shrinks with depth", path(shrinks),
                bool((np.diff(shrinks) < 0).all() and shrinks[-1] < 0.5 * shrinks[0])),
        Verdict("ReLU, He", "keeps its width", path(keeps),
                bool(0.67 < keeps[-1] / keeps[0] < 1.5)),
    ]  # fmt: skip


def table(results: nnlab.Results) -> pd.DataFrame:
    """The mean over seeds of each layer's mean, std, dead and saturated share."""
    start = results.recorded.sel(epoch=0)[COLUMNS].mean("seed")
    return start.to_dataframe()[COLUMNS].reset_index().sort_values(["activation", "init", "layer"])


def main(
    out: Path = Path("runs/activation_histograms"),
    data: str = "normal",
    seeds: int = 5,
    fast: bool = False,
) -> None:
    """Measure, draw, judge."""
    results = measure(out, inputs(data, 200 if fast else 1000), seeds)
    parts = {"lecture": LECTURE, "more": MORE}
    figures = {
        name: layer_histograms(results.sel(activation=activations), "init", "activation")
        for name, activations in parts.items()
    }
    conclude("activation_histograms", out, judge(results), figures, {"layers": table(results)})


if __name__ == "__main__":
    run(main)
