"""How does each optimizer walk, and which learning rates suit it?

First the lecture's figure: f = x^2/20 + y^2 from (-7, 2), 30 updates of SGD .95, Momentum .1,
AdaGrad 1.5 and Adam .3. Source: Saito, Deep Learning from Scratch (2016), section 6.1. Expected:
SGD zigzags, Momentum rolls through in wide turns, AdaGrad damps the steep direction and goes
straight, Adam rolls like Momentum but swings less.

Then every optimizer of nnlab on five surfaces (nnlab/studies/surfaces.py), 26 learning rates from
1e-4 to 10, 200 updates: all paths of a surface come from one call. A map says which rates crawl,
converge, oscillate or diverge (nnlab/studies/behaviour.py has the rules), and each optimizer's path
at its best rate is drawn. Expected where a theorem says so: on a quadratic of largest curvature L,
gradient descent converges for rates below 2/L and Momentum for rates below 2 (1 + mu)/L.

About 1 minute on 2 cores.    python scripts/optimizer_trajectories.py
"""

from pathlib import Path
from typing import Annotated

import numpy as np
import typer
import xarray as xr

import nnlab
from nnlab import studies
from nnlab.cli.script import conclude, run
from nnlab.optim import OPTIMIZERS
from nnlab.studies import Verdict
from nnlab.studies.behaviour import behaviour, crossings, detour, overshoot
from nnlab.studies.surfaces import SURFACES
from nnlab.studies.walks import walk

LECTURE = {"sgd": 0.95, "momentum": 0.1, "adagrad": 1.5, "adam": 0.3}


def main(
    out: Annotated[Path, typer.Option(help="Where figures and tables go.")] = Path(
        "runs/optimizer_trajectories"
    ),
    fast: Annotated[bool, typer.Option(help="Toy size, for a first look.")] = False,
) -> None:
    """Draw the lecture's figure, every optimizer's paths and the maps of learning rates."""
    together = [{"optimizer": name, "learning_rate": rate} for name, rate in LECTURE.items()]
    found, _ = walk(SURFACES["ellipse"], {"config": together}, 30)
    lecture = dict(zip(LECTURE, found.values, strict=True))
    panels = {f"{name} {LECTURE[name]:g}": {name: path} for name, path in lecture.items()}
    title = "30 updates on x²/20 + y², a dot each"
    figures = {"lecture": studies.paths(SURFACES["ellipse"], panels, title)}

    names, updates = (list(LECTURE), 20) if fast else (list(OPTIMIZERS), 200)
    axes = {"optimizer": names, "learning_rate": nnlab.log_space(1e-4, 10, 6 if fast else 26)}
    maps, ends, note = {}, {}, f"{updates} updates, exact gradients."
    for kind, surface in list(SURFACES.items())[: 1 if fast else None]:
        path, loss = walk(surface, axes, updates)
        maps[kind] = behaviour(loss, path, surface.least)
        ends[kind] = loss.isel(update=-1, drop=True).fillna(np.inf)
        heading = f"Which learning rates suit which optimizer: {kind}"
        figures[f"map_{kind}"] = studies.behaviour_map(maps[kind], heading, [note])
        for part, panels in enumerate(studies.by_family(path, loss), 1):
            heading = f"Each optimizer at the rate with the least mean loss: {kind}, {part} of 2"
            figures[f"paths_{kind}_{part}"] = studies.paths(surface, panels, heading, [note])
    columns = {(kind, "behaviour"): maps[kind] for kind in maps}
    columns |= {(kind, "final loss"): ends[kind] for kind in ends}
    table = xr.Dataset({" ".join(name): column for name, column in sorted(columns.items())})
    verdicts = judge(lecture, maps["ellipse"])
    tables = {"learning_rates": table.to_dataframe().reset_index()}
    conclude("optimizer_trajectories", out, verdicts, figures, tables)


def judge(lecture: dict[str, np.ndarray], words: xr.DataArray) -> list[Verdict]:
    """The lecture's four sentences and two theorems, each as a number."""
    turns = {name: crossings(path[:, 1]) for name, path in lecture.items()}
    swing = {name: overshoot(path[:, 1]) for name, path in lecture.items()}
    detours = {name: detour(path, (0.0, 0.0)) for name, path in lecture.items()}
    ways = ", ".join(f"{detours[name]:.2f}" for name in LECTURE if name != "adagrad")

    def bound(name: str, limit: float) -> Verdict:
        rates, said = words["learning_rate"].values, words.sel(optimizer=name).values
        good, bad = rates[said != "diverges"].max(), rates[said == "diverges"].min()
        return Verdict(
            f"{name} on x²/20 + y² diverges above a rate of {limit:g}", f"{limit:g}",
            f"up to {good:.3g} it does not, from {bad:.3g} on it does", good <= limit < bad,
        )  # fmt: skip

    return [
        Verdict(
            "SGD zigzags", "a zigzag", f"crosses the valley in {turns['sgd']} of 30 updates",
            turns["sgd"] == 30,
        ),
        Verdict(
            "Momentum turns less often than SGD", "rolls like a ball",
            f"crosses {turns['momentum']} times", turns["momentum"] < turns["sgd"] / 3,
        ),
        Verdict(
            "AdaGrad goes straight to the minimum", "efficient, the steep direction damped",
            f"its way is {detours['adagrad']:.2f} times the distance; the others' {ways}",
            detours["adagrad"] == min(detours.values()),
        ),
        Verdict(
            "Adam rolls like Momentum, but swings less", "a smaller swing",
            f"|y| up to {swing['adam']:.2f} behind the valley, Momentum {swing['momentum']:.2f}",
            swing["adam"] < swing["momentum"],
        ),
        bound("sgd", 1.0),
        bound("momentum", 1.9),
    ]  # fmt: skip


if __name__ == "__main__":
    run(main)
