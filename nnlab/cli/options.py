"""The options that several commands share: knobs, data, how to run."""

from pathlib import Path
from typing import Annotated, Any

from typer import Option

KNOB, DATA, RUN = "What to train (commas make a list)", "Data", "How to run"


def text(help_: str, *names: str, panel: str = KNOB) -> Any:
    """An option that is read as text, because commas and ranges mean something in it."""
    return Option(*names, help=help_, show_default=False, rich_help_panel=panel)


def flag(help_: str, *names: str) -> Any:
    """A switch of how to run."""
    return Option(*names, help=help_, rich_help_panel=RUN)


Init = Annotated[str | None, text("Initial weights: normal:0.01,xavier,he")]
BiasInit = Annotated[str | None, text("Initial biases: zeros,normal:1")]
Activation = Annotated[str | None, text("sigmoid,tanh,relu,leaky_relu:0.2,maxout:3")]
Optimizer = Annotated[str | None, text("sgd,momentum:0.95,adam")]
Transform = Annotated[str | None, text("Around the optimizer: none,clip_norm:1,lookahead,sam:0.05")]
Schedule = Annotated[str | None, text("Rates in time, in epochs: cosine,step:0.5:5")]
LearningRate = Annotated[str | None, text("0.01 or 1e-4..1:8 (8 log-spaced values)")]
LearningRates = Annotated[str | None, text("0.01 or a range to draw from: 1e-6..1e-2")]
Momentum = Annotated[str | None, text("For the optimizers that have it: 0.5,0.9,0.99")]
WeightDecay = Annotated[str | None, text("L2 penalty on weight matrices: 0,1e-4,1e-2")]
Dropout = Annotated[str | None, text("Probability of dropping a hidden unit: 0,0.2,0.5")]
BatchNorm = Annotated[str | None, text("on, off or on,off")]
Loss = Annotated[str | None, text("cross_entropy,hinge,focal:3 [the data's own]")]
LabelSmoothing = Annotated[str | None, text("0,0.1")]
Channels = Annotated[str | None, text("Train convnets of these layers: 32-64; 32-64,3x16 for two")]
Hidden = Annotated[str | None, text("Hidden layers: 5x100 or 512-256; 5x100,2x50 for two nets")]
BatchSize = Annotated[str | None, text("Examples per step [100]")]
Epochs = Annotated[str | None, text("Passes over the training set [15]")]
Precision = Annotated[
    str | None, text("Of matrix products on accelerators: float32, tensorfloat32, bfloat16")
]
Seeds = Annotated[str | None, text("How many, or which: 3 or 0,7 [3]")]
Settings = Annotated[
    list[str] | None, text("Any other hyperparameter: --set beta1=0.8,0.9", "--set")
]
Data = Annotated[
    str | None, text("digits, mnist, fashion_mnist or a TFDS name [digits]", panel=DATA)
]
DataDir = Annotated[
    Path | None,
    text("Directory with the original files, for machines without a network", panel=DATA),
]
Scaling = Annotated[str | None, text("none, unit, standard or feature [standard]", panel=DATA)]
Limit = Annotated[int | None, text("Use only the first N training examples", panel=DATA)]
Metrics = Annotated[str | None, text("Measure these too: brier,top_k_accuracy:3", panel=RUN)]
By = Annotated[str | None, text("Choose by this metric, as val_brier [val_accuracy]", panel=RUN)]
Confirm = Annotated[
    int | None,
    text("Then test the best config by so many fresh seeds: 5", "--confirm", panel=RUN),
]
Each = Annotated[
    str | None,
    text("With --confirm: each value of this axis at its best, as activation", panel=RUN),
]
Out = Annotated[
    Path | None, text("Keep results here; the same command continues from there", panel=RUN)
]
Lanes = Annotated[int | None, text("Runs trained together on a device; nnlab chooses", panel=RUN)]
Quiet = Annotated[bool, flag("No progress bar.", "--quiet", "-q")]
DryRun = Annotated[bool, flag("Say what would be trained, and stop.", "--dry-run")]
