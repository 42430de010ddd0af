"""Requests nnlab must refuse, each with words its one line must hold.

Run as a script, so that they meet nnlab as a user does (the tests' runtime type checking off), it
prints what came of each as JSON.
"""

import json
import sys
from pathlib import Path
from typing import Any

import flax.linen as linen
import jax
import jax.numpy as jnp
import numpy as np
import optax

import nnlab
from nnlab.models import from_flax, mlp

INFINITE, NOT_A_NUMBER = float("inf"), float("nan")


def clouds() -> Any:
    draw = np.random.default_rng(0)
    y = np.arange(90) % 3
    x = draw.normal(size=(90, 5)) + y[:, None]
    return nnlab.data.from_arrays(x.astype(np.float32), y, validation=20, test=20, name="clouds")


def line() -> Any:
    x = np.linspace(-1, 1, 60, dtype=np.float32)[:, None]
    return nnlab.data.from_arrays(x, 3 * x[:, 0], name="line")


class Narrow(linen.Module):
    @linen.compact
    def __call__(self, x):
        return linen.Dense(2)(x)


class Deaf(linen.Module):
    @linen.compact
    def __call__(self, x):
        return linen.Dense(3)(x @ jnp.ones((7, 7)))


class Unhashable:
    __hash__ = None

    def __call__(self, x):
        return x


def transformation(update) -> optax.GradientTransformation:
    return optax.GradientTransformation(lambda params: jnp.zeros(()), update)


def branches(x):
    return x if x.sum() > 0 else -x


AXES: dict[str, tuple[dict, list[str]]] = {
    "no such knob": ({"learnin_rate": [0.1]}, ["unknown knob", "did you mean 'learning_rate'"]),
    "no such activation": ({"activation": ["rleu"]}, ["did you mean 'relu'"]),
    "no such init": ({"init": ["xaviar"]}, ["did you mean 'xavier'"]),
    "no such optimizer": ({"optimizer": ["adamm"]}, ["did you mean 'adam'"]),
    "too many arguments": ({"init": ["normal(1,2,3)"]}, ["'3' does not fit", "std"]),
    "argument of another": ({"optimizer": ["sgd(0.9)"]}, ["'0.9' does not fit", "learning_rate="]),
    "argument twice": ({"optimizer": ["adam(beta1=.8,beta1=.9)"]}, ["beta1 twice"]),
    "argument out of range": ({"optimizer": ["adam(beta1=1.5)"]}, ["beta1", "1.5"]),
    "negative scale": ({"init": ["normal(-1)"]}, ["std is -1", "needs std >= 0", "try 1"]),
    "argument not a number": ({"init": ["normal(x)"]}, ["std needs a number", "'x'"]),
    "argument infinite": ({"init": ["normal(inf)"]}, ["std needs a finite number"]),
    "colon without a number": ({"activation": ["elu:"]}, ["cannot read activation 'elu:'"]),
    "argument not whole": ({"activation": ["maxout(1.5)"]}, ["pieces needs a whole number"]),
    "no pieces": ({"activation": ["maxout(0)"]}, ["pieces counts from 1"]),
    "no parenthesis": ({"init": ["normal(0.1"]}, ["cannot read init", "name(0.1)"]),
    "activation is a number": ({"activation": [3]}, ["takes a name, a function"]),
    "activation is None": ({"activation": None}, ["takes a name, a function"]),
    "unhashable function": ({"activation": [Unhashable()]}, ["cannot be hashed"]),
    "two lambdas": ({"activation": [lambda x: x, lambda x: -x]}, ["repeats <lambda>", "{'mine'"]),
    "empty axis": ({"activation": []}, ["axis activation has no values"]),
    "empty array": ({"learning_rate": np.array([])}, ["axis learning_rate has no values"]),
    "two-dimensional array": ({"learning_rate": np.ones((2, 2))}, ["finite number", "[1.0, 1.0]"]),
    "a set": ({"learning_rate": {0.1, 0.2}}, ["is a set", "list"]),
    "repeated values": ({"learning_rate": [0.1, 0.1]}, ["axis learning_rate repeats 0.1"]),
    "range of a point": ({"learning_rate": nnlab.log_space(1, 1, 2)}, ["repeats 1.0"]),
    "endless axis": ({"seed": iter(int, 1)}, ["more than 1,000,000 values"]),
    "too many runs": ({"seed": range(10**6), "epochs": range(1, 20)}, ["19,000,000 runs"]),
    "the same twice": ({"activation": ["leaky_relu(0.1)", "leaky_relu:0.1"]}, ["changes nothing"]),
    "rate nobody reads": (
        {"optimizer": ["adam(learning_rate=0.1)"], "learning_rate": [0.1, 0.2]},
        ["learning_rate changes nothing"],
    ),
    "momentum of adam": ({"momentum": [0.5, 0.9]}, ["momentum does nothing for optimizer adam"]),
    "rate NaN": ({"learning_rate": [NOT_A_NUMBER]}, ["learning_rate needs a finite number", "nan"]),
    "rate infinite": ({"learning_rate": [INFINITE]}, ["learning_rate needs a finite number"]),
    "rate beyond float32": ({"learning_rate": [1e300]}, ["float32", "1e+300"]),
    "rate below float32": ({"learning_rate": [1e-300]}, ["float32", "1e-300"]),
    "rate zero": ({"learning_rate": [0.0]}, ["learning_rate needs a number above 0"]),
    "rate as text": ({"learning_rate": ["0.1"]}, ["learning_rate needs", "'0.1'"]),
    "a schedule": ({"learning_rate": [lambda t: 0.1]}, ["learning_rate needs a finite number"]),
    "beta out of range": ({"beta1": [0.8, 1.5]}, ["beta1 is 1.5"]),
    "certain dropout": ({"dropout": [1.0]}, ["dropout needs a probability"]),
    "dropout a flag": ({"dropout": [True]}, ["dropout needs", "True"]),
    "negative decay": ({"weight_decay": [-0.1]}, ["weight_decay"]),
    "flag a number": ({"batch_norm": [0, 1]}, ["batch_norm is on or off", "[False, True]"]),
    "no epochs": ({"epochs": [0]}, ["epochs needs a whole number from 1", "got 0"]),
    "half an epoch": ({"epochs": [1.5]}, ["epochs needs a whole number", "1.5"]),
    "no such schedule": ({"schedule": ["cosin"]}, ["unknown schedule", "did you mean 'cosine'"]),
    "a schedule's rate": ({"schedule": ["step(value=2)"]}, ["'value' does not fit", "factor="]),
    "negative length": ({"schedule": ["step(0.1, -5)"]}, ["every needs 0 or more, got -5"]),
    "no boundaries": ({"schedule": ["piecewise_constant"]}, ["needs boundaries", "5=0.1"]),
    "no cycles": ({"schedule": ["warm_restarts(0)"]}, ["cycles needs 1 or more, got 0"]),
    "no such transform": ({"transform": ["clip"]}, ["unknown transform", "did you mean 'clip"]),
    "negative clip": ({"transform": ["clip_norm(-1)"]}, ["max_norm is -1", "max_norm >= 0"]),
    "no such loss": ({"loss": ["hing"]}, ["unknown loss", "did you mean 'hinge'"]),
    "smoothing of hinge": (
        {"loss": ["hinge"], "label_smoothing": [0.0, 0.1]},
        ["label_smoothing changes nothing"],
    ),
    "epochs as text": ({"epochs": ["3"]}, ["epochs needs a whole number", "'3'"]),
    "batch too large": ({"batch_size": [51]}, ["batch_size 51 is larger than the 50"]),
    "negative seed": ({"seed": [-1]}, ["seed needs a whole number from 0", "-1"]),
    "seed too large": ({"seed": [2**32]}, ["seed needs a whole number", "4294967296"]),
    "no seeds": ({"seed": range(0)}, ["axis seed has no values"]),
    "sizes as numbers": ({"hidden": [4, 8]}, ["hidden needs a list of sizes", "got 4"]),
    "sizes as text": ({"hidden": ["5x100"]}, ["hidden needs a list of sizes", "'5x100'"]),
    "negative size": ({"hidden": [[4], [-1]]}, ["hidden needs a list of sizes of 1 or more"]),
}

BROKEN: dict[str, tuple[dict, list[str]]] = {
    "init with one parameter": ({"init": lambda key: key}, ["init <lambda> does not work"]),
    "init of its own shape": (
        {"init": lambda key, shape, dtype: jnp.ones(3)},
        ["init <lambda> returns float32 of shape (3,)", "(5, 4)"],
    ),
    "init of integers": (
        {"init": lambda key, shape, dtype: jnp.ones(shape, int)},
        ["init <lambda> returns int32", "needs floats"],
    ),
    "init of nothing": ({"init": lambda key, shape, dtype: None}, ["returns NoneType"]),
    "init that raises": (
        {"init": lambda key, shape, dtype: 1 / 0},
        ["bad_input.py, line", "division by zero"],
    ),
    "init not called": ({"init": jax.nn.initializers.he_normal}, ["init=he_normal()"]),
    "init for convolutions": ({"init": "dirac"}, ["dirac"]),
    "bias without fans": ({"bias_init": "orthogonal"}, ["orthogonal", "(4,)"]),
    "activation cuts": (
        {"activation": lambda x: x[..., :3]},
        ["activation <lambda> maps", "keep the shape"],
    ),
    "activation sums": ({"activation": jnp.sum}, ["maps shape", "to ()", "keep the shape"]),
    "activation of two": ({"activation": lambda x, y: x}, ["activation <lambda> needs y"]),
    "activation of none": ({"activation": lambda: 1}, ["activation <lambda> does not work"]),
    "activation returns None": ({"activation": lambda x: None}, ["returns NoneType"]),
    "activation in numpy": (
        {"activation": lambda x: np.tanh(x)},
        ["activation <lambda> does not work (bad_input.py, line", "jax.numpy"],
    ),
    "activation branches": (
        {"activation": branches},
        ["activation branches does not work", "jnp.where"],
    ),
    "loss of a batch": (
        {"loss": lambda outputs, label: outputs},
        ["loss <lambda> returns float32 of shape (3,)", "one float"],
    ),
    "transform of nothing": (
        {"transform": lambda optimizer: None},
        ["transform <lambda> returns NoneType", "optax.GradientTransformation"],
    ),
    "schedule that looks at the step": (
        {"schedule": lambda step: 1.0 if step < 3 else 0.1},
        ["schedule <lambda> does not work (bad_input.py, line", "jnp.where"],
    ),
    "schedule of two rates": (
        {"schedule": lambda step: step * np.ones(2, np.float32)},
        ["schedule <lambda> returns float32 of shape (2,)", "one number for each step"],
    ),
    "optimizer of nothing": (
        {"optimizer": lambda learning_rate: None},
        ["optimizer <lambda> returns NoneType", "optax.GradientTransformation"],
    ),
    "optimizer of another kind": ({"optimizer": int}, ["optimizer int", "GradientTransformation"]),
    "optimizer with more needs": (
        {"optimizer": lambda learning_rate, fire: optax.sgd(fire)},
        ["optimizer <lambda> needs fire"],
    ),
    "optimizer that looks at its rate": (
        {"optimizer": lambda learning_rate: optax.sgd(1.0 if learning_rate > 1 else 0.1)},
        ["optimizer <lambda> does not work (bad_input.py, line", "jnp.where"],
    ),
    "optimizer that ignores the rate": (
        {"optimizer": optax.adam(0.1), "learning_rate": 0.2},
        ["learning_rate changes nothing"],
    ),
    "optimizer with other updates": (
        {"optimizer": transformation(lambda g, s, p=None: (None, s))},
        ["updates unlike the parameters"],
    ),
    "optimizer with growing state": (
        {"optimizer": transformation(lambda g, s, p=None: (g, (s, s)))},
        ["changes the structure"],
    ),
}

WHOLE: dict[str, tuple[Any, list[str]]] = {
    "a linear model's dropout": (
        lambda: nnlab.Sweep(mlp([]), clouds(), {"dropout": [0.0, 0.5]}),
        ["dropout changes nothing", "MLP(hidden=()) has no dropout"],
    ),
    "a linear model's activation": (
        lambda: nnlab.Sweep(mlp([]), clouds(), activation="tanh"),
        ["activation changes nothing", "MLP(hidden=()) has no activation"],
    ),
    "a flax module's activation": (
        lambda: nnlab.Sweep(from_flax(linen.Dense(3)), clouds(), activation="tanh"),
        ["has no activation"],
    ),
    "a flax module with other classes": (
        lambda: nnlab.Sweep(from_flax(Narrow()), clouds(), batch_size=50),
        ["returns float32 of shape (50, 2)", "(50, 3)", "3 outputs"],
    ),
    "a flax module for other shapes": (
        lambda: nnlab.Sweep(from_flax(Deaf()), clouds(), batch_size=50),
        ["Deaf", "bad_input.py, line", "(5,)", "(7,)"],
    ),
    "a flax class": (lambda: nnlab.Sweep(from_flax(Narrow), clouds()), ["class Narrow"]),
    "a flax module as it is": (lambda: nnlab.Sweep(Narrow(), clouds()), ["from_flax(module)"]),
    "a name as a model": (lambda: nnlab.Sweep("mlp", clouds()), ["model needs", "mlp("]),
    "a class as a model": (lambda: nnlab.Sweep(nnlab.models.MLP, clouds()), ["model needs"]),
    "sizes as a number": (lambda: nnlab.Sweep(mlp(100)), ["hidden needs a list", "got 100"]),
    "a network of terabytes": (
        lambda: nnlab.Sweep(mlp([10**6, 10**6]), clouds(), batch_size=10),
        ["1 lanes of 3,814,", "GiB", "a smaller network"],
    ),
    "a tuple as data": (
        lambda: nnlab.Sweep(mlp([4]), (np.ones((3, 2)), np.ones(3))),
        ["data needs a data set, got tuple", "from_arrays"],
    ),
    "a loss of classes for a regression": (
        lambda: nnlab.Sweep(mlp([4]), line(), loss="hinge", batch_size=10),
        ["loss hinge needs classes", "try squared_error"],
    ),
    "a metric of classes for a regression": (
        lambda: nnlab.Sweep(mlp([4]), line(), metrics="brier", batch_size=10),
        ["metric brier needs classes", "{'mine': function}", "squared_error"],
    ),
    "a score that is to be small": (
        lambda: nnlab.Sweep(mlp([4]), clouds(), metrics={"brier_score": lambda z, y: z[y]}),
        ["brier_score ends in score", "to be large", "brier_loss"],
    ),
    "a metric that nobody measures": (
        lambda: nnlab.Sweep(mlp([4]), clouds(), batch_size=10).run(by="val_brier"),
        ["unknown metric 'val_brier'", "metrics=['brier']"],
    ),
    "training accuracy of a regression": (
        lambda: nnlab.Sweep(mlp([4]), line(), record="train_accuracy"),
        ["record train_accuracy needs classes", "line has none"],
    ),
    "configs of different knobs": (
        lambda: nnlab.Sweep(
            mlp([4]), clouds(), {"config": [{"learning_rate": 0.1}, {"dropout": 0.1}]}
        ),
        ["set the same knobs", "learning_rate", "dropout"],
    ),
    "configs that are numbers": (
        lambda: nnlab.Sweep(mlp([4]), clouds(), {"config": [0.1, 0.2]}),
        ["config needs a list of dictionaries"],
    ),
    "a knob in config and fixed": (
        lambda: nnlab.Sweep(
            mlp([4]), clouds(), {"config": [{"learning_rate": 0.1}]}, learning_rate=1.0
        ),
        ["learning_rate is in config and an axis or fixed"],
    ),
    "an impossible value in a config": (
        lambda: nnlab.Sweep(mlp([4]), clouds(), {"config": [{"learning_rate": -1.0}]}),
        ["learning_rate"],
    ),
    "smoothing of a regression": (
        lambda: nnlab.Sweep(mlp([4]), line(), label_smoothing=0.1),
        ["label_smoothing changes nothing", "no classes"],
    ),
    "axes as pairs": (lambda: nnlab.Sweep(mlp([4]), clouds(), [("init", 1)]), ["axes needs"]),
    "an axis and fixed": (
        lambda: nnlab.Sweep(mlp([4]), clouds(), {"seed": [1]}, seed=2),
        ["seed is both an axis and fixed"],
    ),
    "a reversed range": (lambda: nnlab.log_space(1, 0.1, 3), ["0 < low <= high", "1..0.1"]),
    "the logarithm of zero": (lambda: nnlab.log_space(0, 1, 3), ["0 < low <= high"]),
    "a range of text": (lambda: nnlab.log_space("a", 1, 3), ["0 < low <= high", "a..1"]),
    "a range of no values": (lambda: nnlab.log_space(0.1, 1, 0), ["got 0"]),
}

SEARCH: dict[str, tuple[dict, list[str]]] = {
    "a search of nothing": ({"ranges": {}}, ["a search needs", "(low, high)"]),
    "a search of a number": ({"ranges": {"learning_rate": 0.1}}, ["learning_rate needs a pair"]),
    "a range upside down": ({"ranges": {"learning_rate": (1.0, 0.1)}}, ["low < high, got 1..0.1"]),
    "a range of zero width": ({"ranges": {"learning_rate": (0.1, 0.1)}}, ["low < high"]),
    "a log range from zero": ({"ranges": {"learning_rate": (0, 1)}}, ["above 0", "linear"]),
    "a range of rates below zero": (
        {"ranges": {"learning_rate": nnlab.Range(-1, -0.5, log=False)}},
        ["learning_rate is -1", "needs learning_rate > 0"],
    ),
    "a range of sizes": ({"ranges": {"epochs": (8, 16)}}, ["epochs needs whole numbers"]),
    "a range of names": ({"ranges": {"optimizer": ("sgd", "adam")}}, ["two finite numbers"]),
    "a search of an unknown knob": ({"ranges": {"rate": (0.1, 1.0)}}, ["unknown knob 'rate'"]),
    "a search of what nobody reads": (
        {"ranges": {"momentum": (0.1, 0.9)}},
        ["momentum does nothing for optimizer adam"],
    ),
    "drawn and fixed": (
        {"learning_rate": 0.1},
        ["learning_rate is in config and an axis or fixed"],
    ),
    "one trial": ({"trials": 1}, ["trials needs a whole number from 2"]),
    "no stages": ({"stages": 0}, ["stages needs a whole number from 1"]),
    "no seeds to judge by": ({"seeds": 0}, ["seeds needs a whole number from 1"]),
    "no seeds to test by": ({"final_seeds": 0}, ["final_seeds needs a whole number from 1"]),
    "draws of a negative seed": ({"seed": -1}, ["seed needs a whole number from 0"]),
    "all are kept": ({"keep": 1.0}, ["keep is a share between 0 and 1, got 1.0"]),
    "a share in words": ({"keep": "half"}, ["keep is a share", "'half'"]),
}

RUN: dict[str, tuple[dict, list[str]]] = {
    "no lanes": ({"lanes": 0}, ["lanes needs a whole number from 1", "got 0"]),
    "negative lanes": ({"lanes": -4}, ["lanes needs", "-4"]),
    "absurd lanes": ({"lanes": 10**12}, ["lanes needs", "1000000000000"]),
    "lanes as text": ({"lanes": "4"}, ["lanes needs", "'4'"]),
    "progress of another kind": ({"progress": 3}, ["progress is True, False or a function"]),
    "out of another kind": ({"out": [1]}, ["out needs the path of a directory"]),
}


def small(axes: dict | None = None, **knobs: Any) -> nnlab.Sweep:
    fixed = {"epochs": 1, "batch_size": 10} | knobs
    fixed = {name: value for name, value in fixed.items() if name not in (axes or {})}
    return nnlab.Sweep(mlp([4]), clouds(), axes, **fixed)


def request(name: str, out: Path) -> None:
    """Do what a case asks for."""
    if name in AXES:
        small(AXES[name][0]).run(out, progress=False)
    elif name in BROKEN:
        small(**BROKEN[name][0]).run(out, progress=False)
    elif name in SEARCH:
        asked = {"ranges": {"learning_rate": (0.01, 0.1)}, "trials": 2} | SEARCH[name][0]
        nnlab.search(
            **asked, model=mlp([4]), data=clouds(), out=out, progress=False, epochs=1, batch_size=9
        )
    elif name in RUN:
        small().run(**{"out": out, "progress": False} | RUN[name][0])
    else:
        WHOLE[name][0]().run(out, progress=False)


TABLES = (AXES, BROKEN, WHOLE, SEARCH, RUN)
NEEDED = {name: words for table in TABLES for name, (_, words) in table.items()}


def main(directory: Path) -> None:
    came = {}
    for name in NEEDED:
        out = directory / name.replace(" ", "_")
        try:
            request(name, out)
            came[name] = "nothing", "", out.exists()
        except Exception as error:
            came[name] = type(error).__name__, str(error), out.exists()
    sys.stdout.write(json.dumps(came) + "\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
