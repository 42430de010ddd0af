"""nnlab search: draw configs at random, narrow the ranges, test the winner."""

from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from nnlab.cli import options as o
from nnlab.cli.ending import kept, warn

if TYPE_CHECKING:
    from nnlab.sweeps.search import Search

SEARCH = "How to search"
BEST = 5


def number(help_: str, *names: str) -> Any:
    """An option of the search itself."""
    return typer.Option(*names, help=help_, rich_help_panel=SEARCH)


def search(
    learning_rate: o.LearningRates = None,
    weight_decay: Annotated[str | None, o.text("L2 penalty, to draw: 1e-8..1e-4")] = None,
    momentum: o.Momentum = None,
    dropout: Annotated[str | None, o.text("0..0.5:linear, or a list: 0,0.2,0.5")] = None,
    label_smoothing: o.LabelSmoothing = None,
    init: o.Init = None,
    bias_init: o.BiasInit = None,
    activation: o.Activation = None,
    optimizer: o.Optimizer = None,
    transform: o.Transform = None,
    schedule: o.Schedule = None,
    batch_norm: o.BatchNorm = None,
    loss: o.Loss = None,
    channels: o.Channels = None,
    hidden: o.Hidden = None,
    batch_size: o.BatchSize = None,
    epochs: o.Epochs = None,
    precision: o.Precision = None,
    set_: o.Settings = None,
    trials: Annotated[int, number("Configs to draw in each stage.")] = 100,
    stages: Annotated[int, number("1 searches the ranges, 2 then narrows them, and so on.")] = 2,
    keep: Annotated[float, number("The share of the best that narrows the ranges.")] = 0.1,
    seeds: Annotated[int, number("Seeds to judge a config by.")] = 1,
    final_seeds: Annotated[int, number("Fresh seeds for the best config's test.")] = 5,
    seed: Annotated[int, number("Of the draws.")] = 0,
    own_weights: Annotated[
        bool,
        typer.Option("--own-weights", help="Each trial draws its own.", rich_help_panel=SEARCH),
    ] = False,
    data: o.Data = None,
    data_dir: o.DataDir = None,
    scaling: o.Scaling = None,
    limit: o.Limit = None,
    metrics: o.Metrics = None,
    by: o.By = None,
    out: o.Out = None,
    quiet: o.Quiet = False,
) -> None:
    """Draw configs from ranges (low..high) and lists, narrow to the best, test the winner."""
    typed = locals().copy()
    del typed["seeds"]
    from nnlab.cli.plan import given, make_search, read_settings
    from nnlab.report.cautions import cautions
    from nnlab.report.search_page import tested, write_search
    from nnlab.sweeps.search import search as run

    arguments = make_search(given(typed) | {"set": read_settings(set_ or [])})
    arguments |= {"trials": trials, "stages": stages, "keep": keep, "seeds": seeds}
    arguments |= {"final_seeds": final_seeds, "seed": seed, "own_weights": own_weights}
    arguments |= {"out": out, "progress": not quiet}
    console = Console()
    with kept(out):
        found = run(**arguments)
        show(found, console)
        final = found.final(progress=not quiet)
    console.print(tested(final), highlight=False, soft_wrap=True)
    warn(cautions(final), console)
    if out is not None:
        names = ", ".join(path.name for path in write_search(found, out, final))
        console.print(f"{names} are in {out}", highlight=False, soft_wrap=True)


def show(found: "Search", console: Console) -> None:
    """The best trials, and what makes one doubt them."""
    console.print(table(found))
    warn(found.warnings(), console)


def table(found: "Search", best: int = BEST) -> Table:
    """The best trials as the lecture prints them: the metric, then the knobs."""
    from nnlab.report.search import best_trials
    from nnlab.report.style import number as shown
    from nnlab.report.style import words
    from nnlab.report.terminal import rows

    trials = best_trials(found, best)
    value = trials.columns[0]
    trials[value] = [shown(v, found.metric) for v in trials[value]]
    trials.insert(0, "", range(1, len(trials) + 1))
    trials.columns = [words(name) for name in trials.columns]
    title = f"The best {len(trials)} of {len(found.trials)} trials"
    return rows(trials, title, right=list(trials.columns))
