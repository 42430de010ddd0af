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

The published grid takes seconds; with all others (Shampoo's eigenvectors) it is
3 minutes on 2 cores.    python scripts/deepobs_quadratic.py --data FOLDER
FOLDER holds deepobs_quadratic_deep.npz (Q, train, test, start) and deepobs_quadratic_deep_sgd.json.
"""

import json
import os
from pathlib import Path
from typing import Annotated, Any

import jax.numpy as jnp
import numpy as np
import typer
import xarray as xr

import nnlab
from nnlab import report
from nnlab.cli.script import conclude, run
from nnlab.optim import OPTIMIZERS
from nnlab.report import Verdict

PROBLEM, RUNS = "deepobs_quadratic_deep.npz", "deepobs_quadratic_deep_sgd.json"
PUBLISHED = ["sgd", "momentum(0.99)", "adam(eps=1e-8)"]
RATES, SEEN = 10 ** np.linspace(-5, 2, 36), 896


def find(data: Path | None) -> Path:
    """The folder of the published problem and its runs."""
    folder = data or Path(os.environ.get("NNLAB_DATA_DIR", "data"))
    for place in (folder, folder / "reference", folder.parent / "reference"):
        if (place / PROBLEM).is_file() and (place / RUNS).is_file():
            return place
    raise nnlab.UsageError(
        f"{folder} has no {PROBLEM} with {RUNS}; the published Hessian and samples cannot be drawn "
        "anew, so give the folder that holds them: --data FOLDER"
    )


def problem(folder: Path) -> tuple[nnlab.models.LossModel, nnlab.data.Dataset]:
    """The loss with its start, and its samples; the test rows are validation data too."""
    with np.load(folder / PROBLEM) as file:
        q, train, test, start = (file[k] for k in ("hessian", "train", "test", "theta0"))
    q, seen = q.astype(np.float32), test[:SEEN]

    def quadratic_deep(w: Any, x: Any) -> Any:
        """(w - x)' Q (w - x) / 2, expanded: what does not depend on w is shared by all runs."""
        return w @ q @ w / 2 - (x @ q @ w).mean() + ((x @ q) * x).sum(1).mean() / 2

    data = nnlab.data.from_arrays(
        train, validation=seen, test=seen, scaling="none", name="quadratic_deep"
    )
    return nnlab.models.from_loss(quadratic_deep, start), data


def main(
    out: Annotated[Path, typer.Option(help="Where figures and tables go.")] = Path(
        "runs/deepobs_quadratic"
    ),
    data: Annotated[Path | None, typer.Option(help="The published problem's folder.")] = None,
    seeds: Annotated[int, typer.Option(help="How many, from 42 on.")] = 10,
    fast: Annotated[bool, typer.Option(help="Toy size, for a first look.")] = False,
) -> None:
    """Train the published grid, then all other optimizers; compare, draw, keep."""
    folder = find(data)
    model, samples = problem(folder)
    published = json.loads((folder / RUNS).read_text())

    def train(name: str, optimizers: list[str], orders: list[bool], count: int) -> nnlab.Results:
        axes = {
            "reshuffle": orders,
            "optimizer": optimizers,
            "learning_rate": RATES[1::5] if fast else RATES,
            "seed": range(42, 42 + count),
        }
        sweep = nnlab.Sweep(model, samples, axes, batch_size=128, epochs=published["epochs"])
        return sweep.run(out / name)

    both = train("published", PUBLISHED, [False, True], 2 if fast else seeds)
    replayed = both.sel(reshuffle=False)
    picture = nnlab.plot(both, "learning_rate", "test_loss", "optimizer", "reshuffle")
    done = [r for r in published["runs"] if r["seed"] == 42 and r["final_test_loss"] is not None]
    for ax in picture.axes:
        dots = [r["learning_rate"] for r in done], [r["final_test_loss"] for r in done]
        ax.plot(*dots, "o", mfc="none", mec="black", ms=11, label="SGD as published")
    picture.axes[0].legend(loc="upper right")

    others = (
        ["nesterov", "adagrad"] if fast else [o for o in OPTIMIZERS if o not in ("sgd", "adam")]
    )
    rest = train("others", others, [False], 1).sel(reshuffle=False)
    loss = xr.concat([r.values("test_loss").mean("seed") for r in (replayed, rest)], "optimizer")
    loss = loss.isel(optimizer=np.argsort(loss.min("learning_rate").values, kind="stable"))
    title = "DeepOBS quadratic: every optimizer at 36 learning rates, the best first"
    note = f"The training set's first order replayed. Seed 42; the published three: {seeds} seeds."
    every = report.loss_map(loss, title, "final test loss", [note], most=4)
    conclude(
        "deepobs_quadratic",
        out,
        compare(replayed.sel(optimizer="sgd"), published, model, samples),
        {"published_grid": picture, "every_optimizer": every},
        {"published_grid": report.configs(replayed), "other_optimizers": report.configs(rest)},
    )


def compare(
    sgd: nnlab.Results, published: dict[str, Any], model: Any, samples: Any
) -> list[Verdict]:
    """SGD's runs beside those published."""
    losses, rates = sgd.values("test_loss"), sgd.labels("learning_rate")
    curves = sgd.values("val_loss", epoch="all").mean("seed").values
    runs = [r for r in published["runs"] if np.isclose(r["learning_rate"], rates, rtol=1e-6).any()]
    theirs = np.array([r["test_losses"] for r in runs if r["seed"] == 42], float)[:, 1:]
    lost = np.asarray(~np.isfinite(theirs).all(-1))
    off = np.abs(curves / theirs - 1)[~lost]
    last = off[:, -1].max()
    ten = [r["final_test_loss"] for r in runs if np.isclose(r["learning_rate"], 10**-1.8)]
    ours = losses.isel(learning_rate=int(np.abs(rates - 10**-1.8).argmin()))
    gap = abs(float(ours.mean()) - np.mean(ten)) / np.std(ten, ddof=1)
    first = float(model.loss(jnp.ones(100), jnp.asarray(samples.test.x)))
    begin = published["initial_test_loss"]
    each = (sgd.diverged.values == lost[:, None]).all()
    return [
        Verdict(
            "the loss is the published one: test loss at the start",
            f"{begin:.4f}", f"{first:.4f}", abs(first / begin - 1) < 1e-5,
        ),
        Verdict(
            "SGD diverges at the same learning rates, with every seed",
            f"from {rates[lost].min():.3g} on",
            f"from {rates[sgd.diverged.any('seed')].min():.3g} on", bool(each),
        ),
        Verdict(
            "SGD's final test loss, all other learning rates",
            "one seed each", f"off by {100 * last:.2f} % at most", bool(last < 0.01),
        ),
        Verdict(
            "SGD's test loss after every epoch",
            "one seed each", f"off by {100 * off.max():.2f} % at most", bool(off.max() < 0.01),
        ),
        Verdict(
            "SGD at 10^-1.8, within two published deviations",
            f"{np.mean(ten):.2f} ± {np.std(ten, ddof=1):.2f} ({len(ten)} seeds)",
            f"{float(ours.mean()):.2f} ± {float(ours.std(ddof=1)):.2f}, {gap:.2f} deviations away",
            bool(gap < 2),
        ),
    ]  # fmt: skip


if __name__ == "__main__":
    run(main)
