"""The commands: nnlab ablate, nnlab report, nnlab list."""

import sys
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from nnlab.cli.parity import parity
from nnlab.cli.script import STYLE, carry_out
from nnlab.errors import unknown

app = typer.Typer(
    **STYLE,
    no_args_is_help=True,
    help="Train thousands of labelled networks in one program, and know which choice works.",
)
OUT, ERR = Console(), Console(stderr=True)
Option = typer.Option


def main() -> None:
    """Run the command line; a request that cannot be carried out is one line and status 2."""
    carry_out(app, "nnlab")


def text(help_: str, *names: str, panel: str = "What to sweep (commas make an axis)") -> Any:
    """An option that is read as text, because commas and ranges mean something in it."""
    return Option(*names, help=help_, show_default=False, rich_help_panel=panel)


RUN = "How to run"
DATA = "Data"


@app.command()
def ablate(
    config: Annotated[
        Path | None,
        typer.Argument(
            help="A TOML file with these options; options given here win.", metavar="[FILE.toml]"
        ),
    ] = None,
    init: Annotated[str | None, text("Initial weights: normal:0.01,xavier,he")] = None,
    bias_init: Annotated[str | None, text("Initial biases: zeros,normal:1")] = None,
    activation: Annotated[str | None, text("sigmoid,tanh,relu,leaky_relu:0.2,maxout:3")] = None,
    optimizer: Annotated[str | None, text("sgd,momentum:0.95,adam")] = None,
    transform: Annotated[
        str | None, text("Around the optimizer: none,clip_norm:1,lookahead,sam:0.05")
    ] = None,
    schedule: Annotated[
        str | None, text("Rates in time, in epochs: cosine,step:0.5:5,warmup_cosine:2")
    ] = None,
    learning_rate: Annotated[str | None, text("0.01 or 1e-4..1:8 (8 log-spaced values)")] = None,
    momentum: Annotated[str | None, text("For the optimizers that have it: 0.5,0.9,0.99")] = None,
    weight_decay: Annotated[str | None, text("L2 penalty on weight matrices: 0,1e-4,1e-2")] = None,
    dropout: Annotated[str | None, text("Probability of dropping a hidden unit: 0,0.2,0.5")] = None,
    batch_norm: Annotated[str | None, text("on, off or on,off")] = None,
    loss: Annotated[str | None, text("cross_entropy,hinge,focal:3 [the data's own]")] = None,
    label_smoothing: Annotated[str | None, text("0,0.1")] = None,
    hidden: Annotated[
        str | None, text("Hidden layers: 5x100 or 512-256; 5x100,2x50 for two nets")
    ] = None,
    batch_size: Annotated[str | None, text("Examples per step [100]")] = None,
    epochs: Annotated[str | None, text("Passes over the training set [15]")] = None,
    seeds: Annotated[str | None, text("How many, or which: 3 or 0,7 [3]")] = None,
    set_: Annotated[
        list[str] | None, text("Any other hyperparameter: --set beta1=0.8,0.9", "--set")
    ] = None,
    data: Annotated[
        str | None, text("digits, mnist, fashion_mnist or a TFDS name [digits]", panel=DATA)
    ] = None,
    data_dir: Annotated[
        Path | None,
        text("Directory with the original files, for machines without a network", panel=DATA),
    ] = None,
    scaling: Annotated[
        str | None, text("none, unit, standard or feature [standard]", panel=DATA)
    ] = None,
    limit: Annotated[int | None, text("Use only the first N training examples", panel=DATA)] = None,
    out: Annotated[
        Path | None, text("Keep results here; the same command continues from there", panel=RUN)
    ] = None,
    lanes: Annotated[
        int | None, text("Runs trained together on a device; nnlab chooses", panel=RUN)
    ] = None,
    quiet: Annotated[
        bool, Option("--quiet", "-q", help="No progress bar.", rich_help_panel=RUN)
    ] = False,
    dry_run: Annotated[
        bool, Option("--dry-run", help="Say what would be trained, and stop.", rich_help_panel=RUN)
    ] = False,
) -> None:
    """Train every combination of the values given, with error bars over seeds."""
    from nnlab.cli.plan import make_sweep, read_file, read_settings

    typed = {
        "init": init, "bias_init": bias_init, "activation": activation, "optimizer": optimizer,
        "learning_rate": learning_rate, "momentum": momentum, "weight_decay": weight_decay,
        "dropout": dropout, "batch_norm": batch_norm, "label_smoothing": label_smoothing,
        "transform": transform, "schedule": schedule, "loss": loss,
        "hidden": hidden, "batch_size": batch_size, "epochs": epochs, "seeds": seeds, "data": data,
        "data_dir": data_dir, "scaling": scaling, "limit": limit,
    }  # fmt: skip
    options = read_file(config) if config else {}
    options |= {name: value for name, value in typed.items() if value is not None}
    options["set"] = dict(options.get("set", {})) | read_settings(set_ or [])
    sweep = make_sweep(options)
    if dry_run:
        show_summary(sweep.summary(lanes))
        return
    try:
        results = sweep.run(out, lanes=lanes, progress=not quiet)
    except KeyboardInterrupt:
        kept = f"finished chunks are in {out}; the same command continues from there"
        ERR.print(
            f"\nnnlab: interrupted; {kept if out else 'nothing was kept (no --out)'}",
            soft_wrap=True,
        )
        sys.exit(130)
    show_results(results, out)


@app.command()
def report(
    directory: Annotated[Path, typer.Argument(help="The --out directory of a sweep.")],
    to: Annotated[Path | None, Option(help="Where to write the page [DIRECTORY/report].")] = None,
) -> None:
    """Write figures and a table of a sweep as one readable page."""
    from nnlab.report.page import write
    from nnlab.sweeps.sweep import load

    OUT.print(f"wrote {write(load(directory), to or directory / 'report')}", soft_wrap=True)


@app.command(name="list")
def list_(
    kind: Annotated[
        str | None,
        typer.Argument(help="init, activation, loss, optimizer, transform, schedule or data."),
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


app.command()(parity)


def show_summary(summary: Any) -> None:
    """What a sweep would do."""
    shared = summary.runs - summary.trained
    rows = {
        "runs": f"{summary.runs:,}" + (f" ({shared:,} share another's result)" if shared else ""),
        "programs": f"{summary.programs:,}",
        "chunks": f"{summary.chunks:,} of {', '.join(map(str, sorted(set(summary.lanes))))} lanes",
        "config-steps": f"{summary.config_steps:,}",
        "memory": f"about {summary.bytes / 2**20:,.0f} MiB",
        "devices": summary.devices,
    }
    for name, value in rows.items():
        OUT.print(f"{name:>12}  {value}", highlight=False)
    OUT.print("nothing was trained", style="dim")


def show_results(results: Any, out: Path | None) -> None:
    """The headline of a finished sweep."""
    OUT.print(repr(results), markup=False, highlight=False, soft_wrap=True)
    if out is not None:
        OUT.print(f"figures and tables: nnlab report {out}", markup=False, soft_wrap=True)


if __name__ == "__main__":
    main()
