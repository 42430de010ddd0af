"""Which initial weights suit which activation, and how far does sigmoid with std 1 fall behind?

1,728 networks: 4 initializers x 3 activations x 6 optimizers x 8 learning rates x 3 seeds, each
with five hidden layers of 100 on the 8x8 digits, 15 epochs of batches of 100, mixed in one compiled
program. The lecture says: sigmoid and tanh want Xavier's scale, ReLU wants He's, and a standard
deviation of 1 saturates sigmoid. Learning rate and optimizer are chosen on validation data for each
pair; the test accuracy of that choice is reported with a 95 % interval over seeds.

Expected: xavier for sigmoid and tanh, he for relu, and a wide gap behind them for sigmoid with 1.

About 2.5 minutes on 2 cores.    python scripts/demo.py
"""

from pathlib import Path
from typing import Annotated

from rich.console import Console
from typer import Option

import nnlab
from nnlab.cli.script import conclude, run
from nnlab.report import heatmap
from nnlab.report.page import write
from nnlab.report.table import configs, points, spoken
from nnlab.report.terminal import crossed, rows
from nnlab.studies import Verdict
from nnlab.sweeps.statistics import paired_interval

INITS = ["normal(1)", "normal(0.01)", "xavier", "he"]
ADVICE = {"sigmoid": "xavier", "tanh": "xavier", "relu": "he"}
OPTIMIZERS = ["sgd", "momentum", "nesterov", "adagrad", "rmsprop", "adam"]


def sweep(seeds: int = 3, fast: bool = False) -> nnlab.Sweep:
    """The demo's runs, or a few of them."""
    return nnlab.Sweep(
        model=nnlab.models.mlp(hidden=[100] * 5),
        data=nnlab.data.load("digits"),
        axes={
            "init": INITS,
            "activation": list(ADVICE),
            "optimizer": OPTIMIZERS[::5] if fast else OPTIMIZERS,
            "learning_rate": nnlab.log_space(1e-4, 1.0, 3 if fast else 8),
            "seed": range(seeds),
        },
        epochs=2 if fast else 15,
        batch_size=100,
    )


def main(
    out: Annotated[Path, Option(help="Where results and report go.")] = Path("runs/demo"),
    seeds: int = 3,
    fast: Annotated[bool, Option(help="Toy size, for a first look.")] = False,
) -> None:
    """Train, print the answer, write the report."""
    results = sweep(2 if fast else seeds, fast).run(out)
    console = Console(highlight=False)
    console.print(f"{results!r}\n", markup=False, soft_wrap=True)
    best = results.tuned(over=["optimizer", "learning_rate"])
    plain = results.sel(optimizer="sgd").tuned(over="learning_rate")
    for part, name in ((best, "best optimizer and learning rate"), (plain, "plain SGD, best rate")):
        table = crossed(part, "init", "activation", "test_accuracy")
        console.print(rows(table, f"Test accuracy, {name}, chosen on validation data"))
        console.print(verdict(part) + "\n", soft_wrap=True)
    console.print(f"report: {write(results, out / 'report')}\n", soft_wrap=True)
    figures = {"map": heatmap(best, "activation", "init", "test_accuracy")}
    conclude("demo", out, claims(best), figures, {"table": configs(best)})


def claims(best: nnlab.Results) -> list[Verdict]:
    """The lecture's advice beside what validation data say, and the cost of std 1 for sigmoid."""
    gap = best.sel(activation="sigmoid").difference("test_accuracy", "init", "xavier")
    wide = gap.sel(init="normal(1)")
    claim, said = "sigmoid with std 1 falls behind sigmoid with xavier", "it saturates"
    ours, why = f"test accuracy changes by {points(wide)}", "the best rate makes up for it"
    last = Verdict(claim, said, ours, bool(wide["high"] < 0), why)
    return [*(advice(best, activation, init) for activation, init in ADVICE.items()), last]


def advice(best: nnlab.Results, activation: str, init: str) -> Verdict:
    """Whether an initializer is best for an activation, or not separated from the best."""
    part = best.sel(activation=activation)
    mean = part.mean("val_accuracy")["mean"]
    first = INITS[int(mean.argmax("init"))]
    gap = part.difference("test_accuracy", "init", first).sel(init=init)
    score = spoken(part.mean("test_accuracy").sel(init=init), "accuracy")
    return Verdict(
        f"{activation} wants {init}",
        "advice without numbers",
        f"{first} is best on validation data; test accuracy of {init} is {score}"
        + f", {points(gap)} beside it" * (first != init),
        first == init,
        "with the best optimizer and rate for each, the weights matter less than the advice says",
    )


def verdict(best: nnlab.Results) -> str:
    """Which init suits which activation, and how far a sigmoid with std 1 stands from the best."""
    mean = best.mean("val_accuracy")["mean"]
    suits = mean["init"][mean.argmax("init")]
    lines = [f"{a}: {suits.sel(activation=a).item()} is best on validation data" for a in ADVICE]
    first = str(mean["activation"][int(mean.max("init").argmax("activation"))].item())
    pairs = {"the best pair": (first, suits.sel(activation=first).item())}
    pairs |= {"the advice": ("sigmoid", "xavier")}
    accuracy = 100 * best["test_accuracy"]
    wide = accuracy.sel(activation="sigmoid", init="normal(1)").values
    for name, (activation, init) in pairs.items():
        gap = paired_interval(wide, accuracy.sel(activation=activation, init=init).values)
        sign, place = (-1, "behind") if gap.mean < 0 else (1, "ahead of")
        low, high = sorted((sign * float(gap.low), sign * float(gap.high)))
        lines.append(
            f"sigmoid with std 1 is {sign * float(gap.mean):.1f} points of test accuracy {place} "
            f"{activation} with {init}, {name} (95 % interval {low:.1f} to {high:.1f}, paired)"
        )
    return "\n".join(lines)


if __name__ == "__main__":
    run(main)
