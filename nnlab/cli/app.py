"""The commands: nnlab ablate, search, report, list, parity."""

from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from nnlab.cli import options as o
from nnlab.cli.confirm import check, confirm, runs_to_confirm
from nnlab.cli.ending import STYLE, carry_out, kept, warn
from nnlab.cli.parity import parity
from nnlab.cli.search import search
from nnlab.errors import unknown

app = typer.Typer(
    **STYLE,
    no_args_is_help=True,
    help="Train thousands of labelled networks in one program, and know which choice works.",
)
OUT = Console()


def main() -> None:
    """Run the command line; a request that cannot be carried out is one line and status 2."""
    carry_out(app, "nnlab")


@app.command()
def ablate(
    config: Annotated[
        Path | None,
        typer.Argument(
            help="A TOML file with these options; options given here win.", metavar="[FILE.toml]"
        ),
    ] = None,
    init: o.Init = None,
    bias_init: o.BiasInit = None,
    activation: o.Activation = None,
    optimizer: o.Optimizer = None,
    transform: o.Transform = None,
    schedule: o.Schedule = None,
    learning_rate: o.LearningRate = None,
    momentum: o.Momentum = None,
    weight_decay: o.WeightDecay = None,
    dropout: o.Dropout = None,
    batch_norm: o.BatchNorm = None,
    loss: o.Loss = None,
    label_smoothing: o.LabelSmoothing = None,
    channels: o.Channels = None,
    hidden: o.Hidden = None,
    batch_size: o.BatchSize = None,
    epochs: o.Epochs = None,
    precision: o.Precision = None,
    seeds: o.Seeds = None,
    set_: o.Settings = None,
    data: o.Data = None,
    data_dir: o.DataDir = None,
    scaling: o.Scaling = None,
    limit: o.Limit = None,
    metrics: o.Metrics = None,
    by: o.By = None,
    confirm_: o.Confirm = None,
    each: o.Each = None,
    out: o.Out = None,
    lanes: o.Lanes = None,
    quiet: o.Quiet = False,
    dry_run: o.DryRun = False,
) -> None:
    """Train every combination of the values given, with error bars over seeds."""
    typed = locals().copy()
    from nnlab.cli.plan import given, make_sweep, read_file, read_settings
    from nnlab.sweeps.metrics import check_judge

    options = (read_file(config) if config else {}) | given(typed)
    options["set"] = dict(options.get("set", {})) | read_settings(set_ or [])
    sweep, by = make_sweep(options), options.get("by")
    axis = None if each is None else each.replace("-", "_")
    check_judge(by, sweep.metrics, sweep.losses)
    check(sweep, confirm_, axis)
    if dry_run:
        show_summary(sweep.summary(lanes), runs_to_confirm(sweep, confirm_, axis))
        show_prediction(sweep.predict(lanes))
        return
    with kept(out):
        results = sweep.run(out, lanes=lanes, progress=not quiet, by=by)
    show_results(results, out, confirm_ is not None)
    if confirm_ is not None:
        confirm(sweep, results, confirm_, axis, out, quiet)


@app.command()
def report(
    directory: Annotated[Path, typer.Argument(help="The --out directory of a sweep.")],
    to: Annotated[
        Path | None, typer.Option(help="Where to write the page [DIRECTORY/report].")
    ] = None,
    by: o.By = None,
) -> None:
    """Write figures and a table of a sweep as one readable page."""
    from nnlab.report.page import write
    from nnlab.sweeps.sweep import load

    page = write(load(directory).judged_by(by), to or directory / "report")
    OUT.print(f"wrote {page}", soft_wrap=True)


@app.command(name="list")
def list_(
    kind: Annotated[
        str | None,
        typer.Argument(
            help="init, activation, loss, metric, optimizer, transform, schedule or data."
        ),
    ] = None,
) -> None:
    """List every name that an option or axis may take, with one line each."""
    from nnlab.cli.catalogue import CATALOGUE

    if kind is not None and kind not in CATALOGUE:
        raise unknown("kind", kind, CATALOGUE)
    for name, entries in CATALOGUE.items():
        if kind in (None, name):
            table = Table(title=f"--{name}", title_justify="left", box=None, padding=(0, 2, 0, 0))
            table.add_column("name", style="bold", no_wrap=True)
            table.add_column("what it is")
            for entry, arguments, line in entries():
                table.add_row(entry, Text(line).append(f" ({arguments})" * bool(arguments), "dim"))
            OUT.print(table)
            OUT.print()


app.command()(search)
app.command()(parity)


def show_summary(summary: Any, more: int) -> None:
    """What a sweep would do, and how many runs would confirm what it found."""
    shared = summary.runs - summary.trained
    rows = {
        "runs": f"{summary.runs:,}" + (f" ({shared:,} share another's result)" if shared else ""),
        "programs": f"{summary.programs:,}",
        "chunks": f"{summary.chunks:,} of {', '.join(map(str, sorted(set(summary.lanes))))} lanes",
        "config-steps": f"{summary.config_steps:,}",
        "memory": f"about {summary.bytes / 2**20:,.0f} MiB",
        "devices": summary.devices,
    }
    if more:
        rows["to confirm"] = f"{more:,} runs more, which are not in the time"
    for name, value in rows.items():
        OUT.print(f"{name:>12}  {value}", highlight=False)


def show_prediction(prediction: Any) -> None:
    """How long a sweep would take."""
    from nnlab.sweeps.progress import in_words

    training, compiling = map(in_words, prediction)
    extra = f" + {compiling} to compile" if prediction.compiling else ""
    OUT.print(f"{'time':>12}  about {training}{extra}, measured on a few steps", highlight=False)
    OUT.print("no run was trained", style="dim")


def show_results(results: Any, out: Path | None, confirming: bool) -> None:
    """The headline of a finished sweep, and what makes one doubt it."""
    from nnlab.report.cautions import cautions
    from nnlab.report.table import headline

    OUT.print(repr(results), markup=False, highlight=False, soft_wrap=True)
    OUT.print(headline(results), markup=False, highlight=False, soft_wrap=True)
    warn(cautions(results, confirming), OUT)
    if out is not None:
        OUT.print(f"figures and tables: nnlab report {out}", markup=False, soft_wrap=True)


if __name__ == "__main__":
    main()
