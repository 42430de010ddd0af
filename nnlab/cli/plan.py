"""From options and a TOML file to a sweep or a search."""

import tomllib
from collections.abc import Mapping
from inspect import signature
from pathlib import Path
from typing import Any

from nnlab.cli.words import LAYERS, option, seeds, span, split, values
from nnlab.data import load as load_data
from nnlab.data.dataset import Dataset
from nnlab.errors import UsageError, unknown
from nnlab.models.convnet import ConvNet, convnet
from nnlab.models.mlp import MLP, mlp
from nnlab.sweeps.search import search
from nnlab.sweeps.sweep import Sweep

DATA_OPTIONS = ("data", "data_dir", "scaling", "limit")
ENTRIES = {"data": str, "data_dir": str, "scaling": str, "limit": int, "by": str, "set": dict}
"""The entries of a TOML file that are not knobs, and their types."""
JUDGING = ("metrics", "by")
"""Options that say what is measured, and what is chosen by."""
HOW_TO_RUN = ("confirm", "each", "out", "lanes", "quiet", "dry_run")
"""Options that a TOML file cannot hold."""
KNOBS = (
    *LAYERS, "init", "bias_init", "activation", "batch_norm", "dropout", "loss", "optimizer",
    "transform", "schedule", "learning_rate", "momentum", "weight_decay", "label_smoothing",
    "batch_size", "epochs", "precision",
)  # fmt: skip
"""Knobs with an option of their own, in the order of the results' axes; --set takes any other."""

ARGUMENTS = {*signature(Sweep).parameters, *signature(search).parameters, "config"} - {"seed"}
"""What a sweep and a search take that is no knob."""


def read_file(path: Path) -> dict[str, Any]:
    """A sweep written as TOML: the options by name, any other hyperparameter under [set]."""
    try:
        content = tomllib.loads(path.read_text())
    except OSError as error:
        raise UsageError(f"cannot read {path} ({error.strerror}); give an existing file") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UsageError(f"{path} is not valid TOML: {error}") from None
    content = {name.replace("-", "_"): value for name, value in content.items()}
    allowed = {*DATA_OPTIONS, *KNOBS, *JUDGING, "seeds", "set"}
    for name, value in content.items():
        if name in HOW_TO_RUN:
            raise UsageError(
                f"{path}: {name} says how to run, not what; give it at the shell: --{option(name)}"
            )
        if name not in allowed:
            raise unknown(f"entry of {path}", name, allowed)
        needed = ENTRIES.get(name)
        if needed and (type(value) is not needed):
            example = {str: '"text"', int: "a whole number", dict: "a table: [set]"}[needed]
            raise UsageError(f"{path}: {name} needs {example}, got {value!r}")
    return content


def read_settings(settings: list[str]) -> dict[str, str]:
    """--set beta1=0.8,0.9 for any hyperparameter of the chosen optimizers."""
    found = {}
    for setting in settings:
        name, equals, text = setting.partition("=")
        if not equals or not text:
            raise UsageError(f"--set needs name=values, got {setting!r}; try beta1=0.8,0.9")
        name = name.strip().replace("-", "_")
        if name in found:
            raise UsageError(f"--set {name} is given twice; write its values in one: {name}=1,2")
        found[name] = text
    return found


def given(typed: Mapping[str, Any]) -> dict[str, Any]:
    """Of a command's arguments, the knobs, metrics, seeds and data that somebody typed."""
    names = (*KNOBS, *JUDGING, "seeds", *DATA_OPTIONS)
    return {name: typed[name] for name in names if typed.get(name) is not None}


def load_chosen(options: Mapping[str, Any]) -> Dataset:
    """The data set of these options."""
    return load_data(
        options.get("data", "digits"),
        **{name: options[name] for name in DATA_OPTIONS[1:] if name in options},
    )


def knob_texts(options: Mapping[str, Any]) -> dict[str, Any]:
    """What is written for each knob, with or without an option of its own."""
    for name in options.get("set", {}):
        if name in (*KNOBS, "seed", "seeds"):
            own = option("seeds" if name == "seed" else name)
            raise UsageError(f"{name} is not for set; use its own option --{own}")
        if name in ARGUMENTS:
            raise UsageError(f"{name} is no hyperparameter; --set takes those, as beta1=0.8,0.9")
    return {k: options[k] for k in KNOBS if k in options} | dict(options.get("set", {}))


def make_model(varied: Mapping[str, Any], fixed: dict[str, Any]) -> MLP | ConvNet:
    """A convnet where channels are given, else an MLP; takes the sizes that are fixed."""
    make = convnet if "channels" in {*varied, *fixed} else mlp
    return make(**{knob: fixed.pop(knob) for knob in LAYERS if knob in fixed})


def make_sweep(options: Mapping[str, Any]) -> Sweep:
    """The sweep of these options: several values make an axis, one value fixes the knob."""
    data, written = load_chosen(options), knob_texts(options)
    axes, fixed = divided({knob: values(knob, text) for knob, text in written.items()})
    model = make_model(axes, fixed)
    axes |= {"seed": seeds(options.get("seeds", 3))}
    return Sweep(model, data, axes, metrics=metrics(options), **fixed)


def make_search(options: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments of a search with these options: what is drawn, and what is fixed.

    A range is drawn from, and so is a list; one value fixes the knob.
    """
    data, written = load_chosen(options), knob_texts(options)
    spans = {knob: span(knob, text) for knob, text in written.items()}
    lists = {knob: values(knob, text) for knob, text in written.items() if spans[knob] is None}
    choices, fixed = divided(lists)
    drawn = {knob: spans[knob] or choices[knob] for knob in written if knob not in fixed}
    if not drawn:
        raise UsageError(
            "a search needs a range or a list to draw from; try --learning-rate 1e-6..1e-2"
        )
    model = make_model(drawn, fixed)
    judging = {"metrics": metrics(options), "by": options.get("by")}
    return {"ranges": drawn, "model": model, "data": data, **judging, **fixed}


def metrics(options: Mapping[str, Any]) -> list[str]:
    """What is to be measured besides, as a list."""
    written = options.get("metrics", "")
    return split(written) if isinstance(written, str) else written


def divided(found: Mapping[str, list[Any]]) -> tuple[dict[str, list[Any]], dict[str, Any]]:
    """The knobs with several values, and those that one value fixes."""
    for knob, listed in found.items():
        if not listed:
            raise UsageError(f"{knob} has no values; give one or more, or leave it out")
    several = {knob: listed for knob, listed in found.items() if len(listed) > 1}
    return several, {knob: listed[0] for knob, listed in found.items() if len(listed) == 1}
