"""Does nnlab train DeepOBS's noisy quadratic as DeepOBS did, and how do all optimizers do on it?

loss(w, x) = (w - x)' Q (w - x) / 2 in 100 dimensions from w = 1, batches of 128, 100 epochs, 36
learning rates from 1e-5 to 100. Source: Schneider, Balles & Hennig, DeepOBS, arXiv:1903.05499,
quadratic_deep, and the runs published with it: SGD, Momentum .99 (v <- .99 v + g, w <- w - lr v)
and Adam (eps 1e-8). The test loss is the mean over the first 896 of the 1,000 test rows after each
epoch; a run diverges where one of its losses is no finite float32 number.

The published runs shuffle the training set once and replay that order in every epoch, so that 104
rows are never seen. So does this script (reshuffle=False), with fresh orders beside it: for SGD
they change the mean by less than 1 %, for Momentum at large rates they multiply the loss.

Expected: the same cells diverge, each other SGD cell is within 1 % of the published loss, and at
the best rate the mean of ten seeds within two published standard deviations.

The published grid takes seconds, all others (Shampoo's eigenvectors) most of
a minute on 2 cores.    python scripts/deepobs_quadratic.py --data FOLDER
FOLDER holds deepobs_quadratic_deep.npz (Q, train, test, start) and deepobs_quadratic_deep_sgd.json.
"""

import json
from pathlib import Path
from typing import Any

import jax.numpy as jnp
import numpy as np
import xarray as xr

import nnlab
from nnlab import report, studies
from nnlab.cli.script import conclude, run
from nnlab.optim import OPTIMIZERS
from nnlab.studies import Verdict

PROBLEM, RUNS = "deepobs_quadratic_deep.npz", "deepobs_quadratic_deep_sgd.json"
PUBLISHED = ["sgd", "momentum(0.99)", "adam(eps=1e-8)"]
RATES, SEEN = 10 ** np.linspace(-5, 2, 36), 896
BEST = 10**-1.8
"""SGD's best rate, at which ten seeds are published."""


def problem(folder: Path) -> tuple[nnlab.models.LossModel, nnlab.data.Dataset]:
    """The loss with its start, and its samples; the test rows are validation data too."""
    with np.load(folder / PROBLEM) as file:
        q, train, test, start = (file[k] for k in ("hessian", "train", "test", "theta0"))
    held = {"validation": test[:SEEN], "test": test[:SEEN]}
    data = nnlab.data.from_arrays(train, **held, scaling="none", name="quadratic_deep")
    return nnlab.models.quadratic(q, start), data


def main(
    out: Path = Path("runs/deepobs_quadratic"),
    data: Path | None = None,
    seeds: int = 10,
    fast: bool = False,
) -> None:
    """Train the published grid, then all other optimizers; compare, draw, keep."""
    folder = nnlab.data.folder_with([PROBLEM, RUNS], data, called="reference")
    model, samples = problem(folder)
    published = json.loads((folder / RUNS).read_text())

    def train(name: str, optimizers: list[str], orders: list[bool], count: int) -> nnlab.Results:
        rates, draws = RATES[1::5] if fast else RATES, range(42, 42 + count)
        axes = {"reshuffle": orders, "optimizer": optimizers, "learning_rate": rates, "seed": draws}
        sweep = nnlab.Sweep(model, samples, axes, batch_size=128, epochs=published["epochs"])
        return sweep.run(out / name)

    both = train("published", PUBLISHED, [False, True], 2 if fast else seeds)
    replayed = both.sel(reshuffle=False)
    grid = nnlab.plot(both, "learning_rate", "test_loss", "optimizer", "reshuffle")
    done = [r for r in published["runs"] if r["seed"] == 42 and r["final_test_loss"] is not None]
    dots = [[r[name] for r in done] for name in ("learning_rate", "final_test_loss")]
    for ax in grid.axes:
        ax.plot(*dots, "o", mfc="none", mec="black", ms=11, label="SGD as published")
    grid.axes[0].legend(loc="upper right")

    names = ["nesterov", "adagrad"] if fast else [o for o in OPTIMIZERS if o not in ("sgd", "adam")]
    rest = train("others", names, [False], 1).sel(reshuffle=False)
    loss = xr.concat([r.values("test_loss").mean("seed") for r in (replayed, rest)], "optimizer")
    title = "DeepOBS quadratic: every optimizer at 36 learning rates, the best first"
    note = f"The training set's first order replayed. Seed 42; the published three: {seeds} seeds."
    every = studies.loss_map(loss, title, "final test loss", [note], most=4)
    first = float(model.loss(jnp.ones(100), jnp.asarray(samples.test.x)))
    verdicts = compare(replayed.sel(optimizer="sgd"), published, first)
    figures = {"published_grid": grid, "every_optimizer": every}
    tables = {"published_grid": report.configs(replayed), "other_optimizers": report.configs(rest)}
    conclude("deepobs_quadratic", out, verdicts, figures, tables)


def compare(sgd: nnlab.Results, published: dict[str, Any], first: float) -> list[Verdict]:
    """SGD's runs beside those published; `first` is our test loss at the start."""
    rates, begin = sgd.labels("learning_rate"), published["initial_test_loss"]
    runs = [r for r in published["runs"] if np.isclose(r["learning_rate"], rates, rtol=1e-6).any()]
    theirs = np.array([r["test_losses"] for r in runs if r["seed"] == 42], float)[:, 1:]
    lost = np.asarray(~np.isfinite(theirs).all(-1))
    curves = sgd.values("val_loss", epoch="all").mean("seed").values
    off = 100 * np.abs(curves / theirs - 1)[~lost]
    last, worst = off[:, -1].max(), off.max()
    ten = [r["final_test_loss"] for r in runs if np.isclose(r["learning_rate"], BEST)]
    ours = sgd.sel(learning_rate=BEST).values("test_loss")
    gap = abs(float(ours.mean()) - np.mean(ten)) / np.std(ten, ddof=1)
    said, found = (
        f"from {rates[where].min():.3g} on" for where in (lost, sgd.diverged.any("seed"))
    )
    each = bool((sgd.diverged.values == lost[:, None]).all())
    deviations = f"{np.mean(ten):.2f} ± {np.std(ten, ddof=1):.2f} ({len(ten)} seeds)"
    mean = f"{float(ours.mean()):.2f} ± {float(ours.std(ddof=1)):.2f}, {gap:.2f} deviations away"
    one, most = "one seed each", "off by {:.2f} % at most"
    start = "the loss is the published one: test loss at the start"
    return [
        Verdict(start, f"{begin:.4f}", f"{first:.4f}", abs(first / begin - 1) < 1e-5),
        Verdict("SGD diverges at the same learning rates, with every seed", said, found, each),
        Verdict("SGD's final test loss elsewhere", one, most.format(last), bool(last < 1)),
        Verdict("SGD's test loss after every epoch", one, most.format(worst), bool(worst < 1)),
        Verdict("SGD at 10^-1.8: within two deviations", deviations, mean, bool(gap < 2)),
    ]


if __name__ == "__main__":
    run(main)
