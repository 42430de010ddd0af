"""Functions of one name that compute different things are different, and the same ones the same."""

import subprocess
import sys
from dataclasses import dataclass
from functools import partial
from types import ModuleType

import flax.linen as linen
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from engine import blobs
from hurry import environment

import nnlab
from nnlab.errors import UsageError
from nnlab.models import from_flax, from_loss
from nnlab.sweeps.identity import identity

SCALE = 2.0


def scaled(x):
    return SCALE * x


def doubled(x):
    """As the next one."""
    return 2 * x


def documented(x):
    """A docstring computes nothing."""
    return 2 * x


def times(n):
    return lambda x: n * x


class Net(linen.Module):
    sizes: tuple[int, ...]

    @linen.compact
    def __call__(self, x):
        for size in self.sizes:
            x = jnp.tanh(linen.Dense(size)(x))
        return linen.Dense(3)(x)


@dataclass(frozen=True)
class Bowl:
    steep: float


@pytest.mark.parametrize(
    "make",
    [
        lambda: doubled,
        lambda: times(3),
        lambda: optax.adam(1e-3),
        lambda: jax.nn.initializers.normal(0.1),
        lambda: partial(doubled, 3),
        lambda: Net((3,)),
        lambda: Bowl(2.0),
        lambda: jax.jit(times(3)),
        lambda: {"a": [np.arange(3), {4, 5}], "b": doubled},
        lambda: from_loss(lambda p, key: jnp.sum(p**2), jnp.ones(2)),
    ],
)
def test_the_same_thing_made_twice_is_the_same(make):
    assert identity(make()) == identity(make())


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (doubled, scaled),
        (times(3), times(4)),
        (lambda x: x + 1, lambda x: x + 2),
        (lambda x: jnp.tanh(x), lambda x: jnp.sin(x)),
        (jnp.tanh, jnp.sin),
        (jax.nn.relu, jax.nn.silu),
        (np.tanh, np.sin),
        (optax.adam(1e-3), optax.adam(1e-2)),
        (optax.adam(1e-3), optax.sgd(1e-3)),
        (jax.nn.initializers.normal(0.1), jax.nn.initializers.normal(0.2)),
        (partial(doubled, 3), partial(doubled, 4)),
        (Net((3,)), Net((4,))),
        (Net((3,)), linen.Dense(3)),
        (Bowl(1.0), Bowl(2.0)),
        (jax.jit(times(3)), jax.jit(times(4))),
        (np.arange(3), np.arange(4)),
        (True, 1),
        ([1, 2], [2, 1]),
    ],
)
def test_what_computes_something_else_is_another(one, other):
    assert identity(one) != identity(other)


def test_a_number_outside_of_a_function_belongs_to_it(monkeypatch):
    before = identity(scaled)
    monkeypatch.setitem(globals(), "SCALE", 3.0)
    assert identity(scaled) != before


def test_a_docstring_and_a_place_in_the_file_do_not():
    assert identity(doubled) == identity(documented)


def test_a_thing_that_holds_itself_has_an_identity():
    round_: list = [1]
    round_.append(round_)
    assert identity(round_) == identity(round_)


PROGRAM = """
import flax.linen as linen, jax, optax
from nnlab.sweeps.identity import identity
class Net(linen.Module):
    size: int
    def __call__(self, x):
        return linen.Dense(self.size)(x)
things = [lambda x: x + jax.nn.relu(x), optax.adam(1e-3), Net(3), jax.nn.initializers.normal(.1)]
print([identity(thing) for thing in things])
"""


def test_another_process_finds_the_same():
    words = [sys.executable, "-c", PROGRAM]
    first, second = (
        subprocess.run(
            words, env=environment() | {"PYTHONHASHSEED": seed}, capture_output=True, check=True
        ).stdout
        for seed in ("1", "2")
    )
    assert first == second != b""


def sweep(model=None, **knobs):
    axes = {"seed": [0, 1]}
    return nnlab.Sweep(
        model or nnlab.models.mlp([4]), blobs(), axes, epochs=1, batch_size=20, **knobs
    )


@pytest.mark.parametrize(
    ("knob", "one", "other", "named"),
    [
        ("optimizer", optax.sgd(0.1), optax.sgd(0.2), "optimizer optax transformation"),
        ("activation", lambda x: jnp.tanh(x), lambda x: jnp.sin(x), "activation <lambda>"),
        ("optimizer", {"mine": "adam:beta1=0.5"}, {"mine": "adam:beta1=0.9"}, "optimizer mine"),
        ("record", {"mine": lambda run: run.x}, {"mine": lambda run: 2 * run.x}, "record mine"),
    ],
)
def test_a_directory_does_not_continue_with_another_function_of_the_same_name(
    tmp_path, knob, one, other, named
):
    results = sweep(**{knob: one}).run(tmp_path, progress=False)
    again = sweep(**{knob: one}).run(tmp_path, progress=False)
    np.testing.assert_array_equal(again["train_loss"], results["train_loss"])
    with pytest.raises(UsageError, match=f"holds another sweep: its {named} computes something"):
        sweep(**{knob: other}).run(tmp_path, progress=False)


def test_nor_with_another_model_of_the_same_name(tmp_path):
    sweep(from_flax(Net((3,)))).run(tmp_path, progress=False)
    sweep(from_flax(Net((3,)))).run(tmp_path, progress=False)
    with pytest.raises(UsageError, match="holds another sweep"):
        sweep(from_flax(Net((4,)))).run(tmp_path, progress=False)


def test_configs_may_hold_several_functions_of_one_name(tmp_path):
    def configs(*slopes):
        return [{"activation": times(slope)} for slope in slopes]

    def run(*slopes):
        axes = {"config": configs(*slopes), "seed": [0]}
        sweep = nnlab.Sweep(nnlab.models.mlp([4]), blobs(), axes, epochs=1, batch_size=20)
        return sweep.run(tmp_path, progress=False)

    first = run(0.5, 1.5)
    np.testing.assert_array_equal(run(0.5, 1.5)["val_loss"], first["val_loss"])
    for others in ((0.5, 2.0), (2.0, 1.5), (1.5, 0.5)):
        with pytest.raises(UsageError, match="its activation <lambda> computes something else"):
            run(*others)


READ = {
    "number": "S = {}\ndef f(x): return S * x",
    "number in a generator": "S = {}\ndef f(x): return sum(S * y for y in x)",
    "number in a function inside": "S = {}\ndef f(x):\n def g(y): return S * y\n return g(x)",
    "number in a lambda": "S = {}\nimport jax\ndef f(x): return jax.vmap(lambda y: S * y)(x)",
    "tuple": "S = ({}, 0)\ndef f(x): return S[0] * x",
    "dictionary": "S = {{'a': {}}}\ndef f(x): return S['a'] * x",
    "array": "import numpy as np\nS = np.full(3, {})\ndef f(x): return S * x",
    "class attribute": "class C:\n a = {}\n def __call__(self, x): return self.a * x\nf = C()",
    "static method": (
        "class C:\n @staticmethod\n def g(x): return {} * x\n"
        " def __call__(self, x): return self.g(x)\nf = C()"
    ),
    "property": (
        "class C:\n @property\n def g(self): return {}\n"
        " def __call__(self, x): return self.g * x\nf = C()"
    ),
    "inherited method": (
        "class B:\n def __call__(self, x): return {} * x\nclass C(B): pass\nf = C()"
    ),
    "compiled helper": "import jax\n@jax.jit\ndef h(x): return {} * x\ndef f(x): return h(x)",
    "partial": "from functools import partial\nh = partial(pow, exp={})\ndef f(x): return h(x)",
}


def module(name: str, text: str) -> ModuleType:
    """A module of a person's own."""
    made = sys.modules[name] = ModuleType(name)
    exec(compile(text, f"{name}.py", "exec"), made.__dict__)
    return made


@pytest.mark.parametrize("text", READ.values(), ids=READ)
def test_whatever_a_function_reads_of_its_module_is_part_of_it(text):
    once, again, other = (identity(module("written", text.format(n)).f) for n in (1, 1, 2))
    assert once == again != other


@pytest.mark.parametrize(
    "text",
    ["from helper import h\ndef f(x): return h(x)", "import helper\ndef f(x): return helper.h(x)"],
)
def test_what_another_module_of_the_persons_computes_is_part_of_a_function(text):
    def found(n):
        module("helper", f"def h(x): return {n} * x")
        return identity(module("written", text).f)

    assert found(1) == found(1) != found(2)


def test_a_logger_or_a_lock_in_a_function_does_not_make_it_another_one():
    text = "import logging, threading\nlog = logging.getLogger('x')\nlock = threading.Lock()\n"
    text += "def f(x):\n with lock:\n  log.info(x)\n return x"
    first = module("written", text)
    before = identity(first.f)
    first.f(1)
    assert identity(first.f) == before == identity(module("written", text).f)
