"""What nnlab knows of the machine: how weights lie, how long a sweep takes, what is kept."""

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hurry import environment

import nnlab
from nnlab.errors import UsageError
from nnlab.lanes import cache
from nnlab.lanes import devices as machine
from nnlab.lanes.stored import store, stored_rule, stored_task
from nnlab.optim import OPTIMIZERS_SEE
from nnlab.optim.adam import adam
from nnlab.optim.layerwise import lars
from nnlab.optim.muon import muon
from nnlab.sweeps.arrays import program_data
from nnlab.sweeps.predict import STEPS, fingerprint, shortened
from nnlab.sweeps.starts import draw
from nnlab.train.task import Task, rule


@pytest.fixture
def sweep():
    x = np.random.default_rng(0).normal(size=(600, 4)).astype(np.float32)
    data = nnlab.data.from_arrays(x, (x[:, 0] > 0).astype(int), test=50, validation=100)
    axes = {"learning_rate": [0.1, 0.01], "seed": range(3)}
    return nnlab.Sweep(nnlab.models.mlp([8]), data, axes, epochs=2, batch_size=10)


def test_storing_turns_matrices_round_and_is_its_own_inverse():
    tree = {"w": jnp.ones((2, 3)), "b": jnp.ones(3), "k": jnp.ones((2, 2, 3, 4))}
    stored = store(tree)
    assert {k: a.shape for k, a in stored.items()} == {"w": (3, 2), "b": (3,), "k": (2, 2, 3, 4)}
    assert jax.tree.map(jnp.shape, store(stored)) == jax.tree.map(jnp.shape, tree)


def test_a_stored_task_has_the_loss_and_the_transposed_gradient_of_the_task():
    x, w = jnp.arange(6.0).reshape(2, 3), jnp.arange(12.0).reshape(3, 4)
    task = Task(lambda w, x: (jnp.sum((x @ w) ** 2), ()), lambda w, x: {})  # type: ignore[arg-type]
    (loss, _), g = jax.value_and_grad(task.loss, has_aux=True)(w, x)
    (same, _), turned = jax.value_and_grad(stored_task(task).loss, has_aux=True)(w.T, x)
    assert loss == same
    np.testing.assert_array_equal(turned, g.T)


@pytest.mark.parametrize("make", [adam, lars, muon])
def test_a_stored_rule_makes_the_transposed_update(make):
    plain = rule(lambda numbers, key, step: make(0.1), OPTIMIZERS_SEE[make])
    w, g = jnp.arange(6.0).reshape(2, 3) + 1, jnp.arange(6.0).reshape(2, 3) - 2
    key, step, value = jax.random.key(0), jnp.zeros((), jnp.int32), jnp.zeros(())

    def updates(rule, w, g):
        memory = rule.init(w, {}, key)
        return rule.update(g, memory, w, {}, key, step, value, lambda w: jnp.sum(w))[0]

    turned = updates(stored_rule(plain), w.T, g.T).T
    np.testing.assert_allclose(turned, updates(plain, w, g), rtol=1e-6)


def test_a_probe_trains_a_part_of_an_epoch_and_validates_the_same_share(sweep):
    whole = program_data(sweep.data)
    part = shortened(whole, 10)
    assert len(part.y) == 10 * STEPS < len(whole.y)
    share = part.valid.y.size / whole.valid.y.size
    assert share == pytest.approx(len(part.y) / len(whole.y), rel=0.1)


def test_a_prediction_is_measured_once_and_remembered(sweep, monkeypatch, tmp_path):
    monkeypatch.setenv("NNLAB_CACHE_DIR", str(tmp_path))
    first = sweep.predict()
    assert first.training > 0
    assert first.compiling > 0
    assert sweep.predict() == (first.training, 0.0)
    (rate,) = cache.speeds().values()
    (group,) = sweep.groups()
    rounds = -(-group.shape.chunks // 2)
    assert first.training == pytest.approx(
        rounds * 2 * group.shape.lanes * group.steps(sweep.data) / rate
    )


def test_a_run_remembers_its_speed(sweep, monkeypatch, tmp_path):
    monkeypatch.setenv("NNLAB_CACHE_DIR", str(tmp_path))
    sweep.run(progress=False)
    assert len(cache.speeds()) == 1
    assert sweep.predict().compiling == 0


def test_a_damaged_or_unwritable_memory_of_speeds_is_no_error(monkeypatch, tmp_path):
    monkeypatch.setenv("NNLAB_CACHE_DIR", str(tmp_path))
    (tmp_path / cache.SPEEDS).write_text("[1, 2")
    assert cache.speeds() == {}
    cache.remember_speed("a", 2.0)
    assert cache.speeds() == {"a": 2.0}
    monkeypatch.setenv("NNLAB_CACHE_DIR", str(tmp_path / cache.SPEEDS))  # a file, no directory
    cache.remember_speed("b", 3.0)
    assert cache.speeds() == {}


def test_a_place_for_programs_that_is_set_already_stays(monkeypatch, tmp_path):
    before = jax.config.jax_compilation_cache_dir
    monkeypatch.setenv("NNLAB_CACHE_DIR", str(tmp_path))
    cache.keep_programs()
    assert jax.config.jax_compilation_cache_dir == before


def test_precision_on_a_cpu_changes_nothing_and_is_refused():
    with pytest.raises(UsageError, match="precision bfloat16 changes nothing on a CPU"):
        nnlab.Sweep(precision="bfloat16").groups()
    with pytest.raises(UsageError, match="did you mean 'bfloat16'"):
        nnlab.Sweep(precision="bfloat")


DRAWING = """
import nnlab
from nnlab.lanes.devices import devices
from nnlab.lanes.program import Program
from nnlab.sweeps.arrays import program_data
from nnlab.sweeps.starts import Starts

sweep = nnlab.Sweep(nnlab.models.mlp([64]), None, {"seed": range(64)}, epochs=500)
(group,) = sweep.groups(4)
program = Program(group.plan, group.layout(sweep.data), program_data(sweep.data), devices())
starts = Starts(sweep.data, group.batch_norm)
first, second, third, *_ = group.chunks()
running = program(program.place([group.chunk(*first, starts)] * len(program.devices)))
for chunk in (second, third):  # while this and that compiles, and while the devices train
    group.chunk(*chunk, starts)
print([shard.data.is_ready() for shard in running.train_loss.addressable_shards])
"""


TWO = {"JAX_NUM_CPU_DEVICES": "2", "JAX_PLATFORMS": "cpu"}


def test_weights_are_drawn_while_the_devices_train():
    done = subprocess.run(
        [sys.executable, "-c", DRAWING], env=environment() | TWO, capture_output=True, text=True
    )
    assert done.stdout == "[False, False]\n", done.stderr


def test_weights_are_drawn_where_jax_is_kept_to_an_accelerator(sweep, monkeypatch):
    """By JAX_PLATFORMS=cuda there is no CPU to draw them on."""
    (group,) = sweep.groups()
    drawn = draw(group.recipes[0], [0], sweep.data, False)
    found = jax.local_devices()

    def no_cpu(backend=None):
        if backend == "cpu":
            raise RuntimeError("Unknown backend cpu")
        return found

    monkeypatch.setattr(jax, "local_devices", no_cpu)
    assert machine.host() == found[0]
    again = draw(group.recipes[0], [0], sweep.data, False)
    jax.tree.map(np.testing.assert_array_equal, drawn, again)


def test_other_processes_devices_are_theirs(monkeypatch):
    (own, *_) = jax.devices()
    monkeypatch.setattr(jax, "local_devices", lambda: [own])
    assert machine.devices() == [own]
    assert machine.describe() == f"1 x {own.device_kind} (cpu)"


@pytest.mark.parametrize(
    ("files", "allowed"),
    [
        ({}, 10**6),
        ({"cpu.max": "max 100000\n"}, 10**6),
        ({"cpu.max": "100000 100000\n"}, 1),
        ({"cpu.max": "150000 100000\n"}, 2),
        ({"cpu.max": "20000 100000\n"}, 1),
        ({"cpu/cpu.cfs_quota_us": "-1\n", "cpu/cpu.cfs_period_us": "100000\n"}, 10**6),
        ({"cpu/cpu.cfs_quota_us": "250000\n", "cpu/cpu.cfs_period_us": "100000\n"}, 3),
        ({"cpu/cpu.cfs_quota_us": "250000\n"}, 10**6),
    ],
)
def test_a_container_s_cores_are_those_it_may_use(files, allowed, tmp_path, monkeypatch):
    monkeypatch.setattr("os.sched_getaffinity", lambda _: range(64))
    limits(tmp_path, files)
    assert machine.cores(tmp_path) == min(64, allowed)


@pytest.mark.parametrize("name", ["memory.max", "memory/memory.limit_in_bytes"])
def test_a_container_s_memory_is_what_it_may_use(name, tmp_path):
    found = jax.local_devices()
    whole = machine.memory(found, tmp_path)
    for said, allowed in (("max", None), (str(2**63), None), (str(2**30), 2**30)):
        limits(tmp_path, {name: f"{said}\n"})
        assert machine.memory(found, tmp_path) == (allowed // len(found) if allowed else whole)


def limits(place, files):
    for name, text in files.items():
        (place / name).parent.mkdir(exist_ok=True)
        (place / name).write_text(text)


def test_without_a_home_things_are_remembered_among_temporary_files(monkeypatch, tmp_path):
    def homeless():
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.setattr(Path, "home", homeless)
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setenv("NNLAB_CACHE_DIR", str(tmp_path / "given"))
    assert cache.directory() == tmp_path / "given"
    monkeypatch.delenv("NNLAB_CACHE_DIR")
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    cache.remember_speed("a", 2.0)
    assert cache.speeds() == {"a": 2.0}
    assert cache.directory() == tmp_path / "nnlab"


def test_a_speed_is_that_of_one_program_on_one_machine(sweep, monkeypatch):
    def named(function):
        function.__name__ = function.__qualname__ = "own"
        return function

    def prints(activation, data=sweep.data):
        model = nnlab.models.mlp([8])
        (group,) = nnlab.Sweep(model, data, activation=activation, batch_size=10).groups()
        return fingerprint(group, data)

    first, second = named(lambda x: jnp.tanh(x)), named(lambda x: jnp.sin(jnp.sin(x)))
    assert prints(first) == prints(first) != prints(second)
    images = sweep.data.train._replace(x=sweep.data.train.x.astype(np.uint8))
    assert prints("relu") != prints("relu", replace(sweep.data, train=images))
    before = prints("relu")
    monkeypatch.setattr("nnlab.sweeps.predict.processor", lambda: "another")
    assert prints("relu") != before


def test_a_processor_is_told_by_its_name_and_widest_vectors(tmp_path):
    told = tmp_path / "cpuinfo"
    told.write_text("processor\t: 0\nmodel name\t: A Processor\nflags\t\t: sse avx avx2\n")
    assert machine.processor(told) == "A Processor avx2"
    assert machine.processor(tmp_path / "nothing")


def test_chunks_begun_on_a_larger_machine_are_refused_where_they_cannot_be_held(
    sweep, monkeypatch, tmp_path
):
    done = sweep.run(tmp_path, progress=False)
    monkeypatch.setattr("nnlab.sweeps.execute.memory", lambda devices: 1)
    again = sweep.run(tmp_path, progress=False)  # nothing is left to train
    np.testing.assert_array_equal(again["val_loss"], done["val_loss"])
    next(tmp_path.glob("chunks/*.npz")).unlink()
    with pytest.raises(UsageError, match="continue on fewer devices, or on the kind of device"):
        sweep.run(tmp_path, progress=False)
