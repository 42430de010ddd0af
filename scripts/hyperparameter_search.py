"""Which learning rate and weight decay suit 500 images, found by drawing 100 pairs at random?

Source: Saito, "Deep Learning from Scratch", section 6.5.3: 500 MNIST images (400 train, 100
are for validation), 784-6x100-10 ReLU from He's weights, SGD, 50 epochs of batches of 100, 100
trials with weights of their own; weight decay 10^U(-8, -4), rate 10^U(-6, -2). Then the same
beyond the border, up to 1.
Expected: the best five have validation accuracies .83, .78, .77, .74, .73 at rates .0052 to .0096:
all near the upper border, which a good tool says aloud.

About 1 minute on 2 cores.    python scripts/hyperparameter_search.py
"""

from pathlib import Path

from rich.console import Console

import nnlab
from nnlab.cli.script import conclude, run
from nnlab.cli.search import show
from nnlab.report import best_trials, trial_curves, trial_knobs
from nnlab.report.search_page import tested
from nnlab.report.style import number
from nnlab.report.table import shown_metric, spoken
from nnlab.studies import Verdict

DECAYS, RATES, BEYOND = (1e-8, 1e-4), (1e-6, 1e-2), (1e-3, 1.0)
TRAIN, VALID, BEST = 400, 100, 5


def main(
    out: Path = Path("runs/hyperparameter_search"),
    data: str = "mnist",
    seeds: int = 5,
    fast: bool = False,
) -> None:
    """Search the lecture's ranges, hear the warning, search beyond, judge."""
    images = nnlab.data.excerpt(nnlab.data.load(data, scaling="unit"), TRAIN, VALID)
    console, found, final = Console(highlight=False), {}, {}
    for name, rates in (("lecture", RATES), ("beyond", BEYOND)):
        found[name] = nnlab.search(
            {"learning_rate": rates, "weight_decay": DECAYS},
            nnlab.models.mlp([100] * (2 if fast else 6)),
            images,
            trials=8 if fast else 100,
            stages=1,
            final_seeds=seeds,
            own_weights=True,
            out=out / name,
            optimizer="sgd",
            epochs=2 if fast else 50,
        )
        show(found[name], console)
        final[name] = found[name].final()
        console.print(tested(final[name]) + "\n", soft_wrap=True)
    best = [trial.value for trial in found["lecture"].trials[:BEST]]
    top = [trial.knobs["learning_rate"] for trial in found["lecture"].trials[:BEST]]
    warned = [line for line in found["lecture"].warnings() if "learning_rate" in line]
    luck = final["lecture"].values("val_accuracy").values
    low, high = (number(end, "val_accuracy") for end in (luck.min(), luck.max()))
    scores = {name: results.mean(shown_metric(results)) for name, results in final.items()}
    verdicts = [
        Verdict(
            "100 random trials reach a validation accuracy of .80",
            "best five: .83 .78 .77 .74 .73",
            "best five: " + " ".join(number(value, "val_accuracy") for value in best),
            best[0] >= 0.8,
            f"over {seeds} other draws of weights the best pair reaches {low} to {high}",
        ),
        Verdict(
            "the best rates lie at the upper border of the range",
            ".0052 to .0096 of at most .01",
            f"{min(top):.2g} to {max(top):.2g}; {warned[0] if warned else 'no warning'}",
            bool(warned),
            "the best trial lies inside",
        ),
        Verdict(
            "beyond the border it is better",
            "not tried",
            f"test accuracy {spoken(scores['beyond'], 'accuracy')} beyond, "
            f"{spoken(scores['lecture'], 'accuracy')} within",
            bool(scores["beyond"]["low"] > scores["lecture"]["high"]),
            "the two intervals overlap",
        ),
    ]
    figures = {f"{name}_curves": trial_curves(search) for name, search in found.items()}
    figures |= {f"{name}_knobs": trial_knobs(search) for name, search in found.items()}
    tables = {f"{name}_trials": best_trials(search) for name, search in found.items()}
    conclude("hyperparameter_search", out, verdicts, figures, tables)


if __name__ == "__main__":
    run(main)
