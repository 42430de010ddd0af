"""A sweep's directory: whole files, the right sweep, nothing lost."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from engine import blobs
from hurry import environment

import nnlab
from nnlab import UsageError
from nnlab.sweeps.assemble import attributes
from nnlab.sweeps.describe import as_begun, describe_sweep
from nnlab.sweeps.execute import memory_in_words
from nnlab.sweeps.store import Store, alone

ARRAYS = {
    "recipe": np.arange(2), "seed": np.arange(1), "train_loss": np.ones((1, 2, 3), np.float32),
    "val_loss": np.ones((1, 2, 3), np.float32), "seconds": np.float64(1),
    "compile_seconds": np.float64(1),
}  # fmt: skip

SWEEP = {"model": "MLP", "data": "blobs", "data description": ""}


def describe(**sweep) -> dict:
    known = {"model": "MLP", "axes": {"init": ["he"], "seed": [0]}, "epochs": 3}
    return {
        "format": 1, "sweep": known | sweep, "cells": None, "epochs": 3, "chunks": [],
        "made with": {"started": "then"},
    }  # fmt: skip


def begun(directory: Path) -> Store:
    store = Store.open(directory, describe())
    store.write(0, ARRAYS)
    return store


def sweep(**knobs) -> nnlab.Sweep:
    axes = {"learning_rate": [0.01, 0.1, 0.2], "seed": [0, 1]}
    knobs = {"epochs": 2, "batch_size": 20} | knobs
    return nnlab.Sweep(nnlab.models.mlp([4]), blobs(), axes, **knobs)


@pytest.fixture(scope="module")
def finished(tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp("sweep") / "runs" / "first"
    sweep().run(out, lanes=2, progress=False)
    return out


@pytest.fixture
def copy(finished, tmp_path) -> Path:
    """A finished sweep that a test may damage."""
    for path in finished.rglob("*"):
        if path.is_file():
            target = tmp_path / "copy" / path.relative_to(finished)
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(path.read_bytes())
    return tmp_path / "copy"


def assert_same(one: nnlab.Results, other: nnlab.Results) -> None:
    assert one.dataset.equals(other.dataset)


def test_a_chunk_is_read_as_it_was_written(tmp_path):
    for store in (Store(None), begun(tmp_path / "runs")):
        store.write(7, ARRAYS)
        assert store.has(7)
        assert not store.has(8)
        for name, values in store.read(7).items():
            np.testing.assert_array_equal(values, ARRAYS[name])


def test_the_same_sweep_continues_and_keeps_its_description(tmp_path):
    begun(tmp_path)
    again = Store.open(tmp_path, describe() | {"made with": {"started": "now"}})
    assert again.has(0)
    assert again.description()["made with"] == {"started": "then"}


def test_what_continues_with_other_versions_is_noted_beside_what_began(tmp_path):
    plan = {"chunks": [{"config_chunks": 2, "seed_chunks": 1}]}
    old, new = ({"jax": jax, "device": "2 x cpu", "started": jax} for jax in ("1", "2"))
    old["optax"] = "0"  # of a version that says more
    Store.open(tmp_path, describe() | plan | {"made with": old}).write(0, ARRAYS)
    for made in (old, old | {"started": "later"}):
        same = Store.open(tmp_path, describe() | {"made with": made})
        assert "continued with" not in same.description()
    for _ in range(2):
        other = Store.open(tmp_path, describe() | {"made with": new})
        assert other.description()["continued with"] == [new]
        found = attributes(
            other.description() | {"sweep": SWEEP}, {"seconds": 0, "compile_seconds": 0}
        )
        assert (found["jax"], found["device"]) == ("1, then 2", "2 x cpu")
    other.write(1, ARRAYS)
    done = Store.open(tmp_path, describe() | {"made with": old})
    assert done.description()["continued with"] == [new], "nothing is left to train"


def test_the_drafts_of_a_killed_process_are_removed_before_training(tmp_path):
    begun(tmp_path)
    draft, other = tmp_path / "chunks" / "000001.npz.7.partial", tmp_path / "mine.partial"
    for path in (draft, other):
        path.write_text("half")
    with alone(tmp_path):
        assert not draft.exists()
        assert other.exists()


def test_a_sweep_without_a_finished_chunk_may_be_cut_anew(tmp_path):
    Store.open(tmp_path, describe())
    again = Store.open(tmp_path, describe() | {"chunks": [{"lanes": 5}]})
    assert again.description()["chunks"] == [{"lanes": 5}]


@pytest.mark.parametrize(
    ("other", "words"),
    [
        ({"model": "CNN"}, ['model: "MLP" there, "CNN" asked for']),
        ({"epochs": 4}, ["epochs: 3 there, 4 asked for"]),
        ({"axes": {"init": ["xavier"], "seed": [0]}}, ['axis init: ["he"] there', '["xavier"]']),
        ({"axes": {"seed": [0]}}, ["init is an axis only there"]),
        ({"axes": {"init": ["h" * 99], "seed": [0]}}, ["...", "asked for"]),
        ({"axes": {"seed": [0], "init": ["he"]}}, ["another order"]),
    ],
)
def test_another_sweeps_directory_is_refused_naming_the_first_difference(tmp_path, other, words):
    begun(tmp_path)
    before = {path: path.read_bytes() for path in tmp_path.rglob("*.*")}
    with pytest.raises(UsageError) as refused:
        Store.open(tmp_path, describe(**other))
    assert all(word in str(refused.value) for word in words), refused.value
    assert {path: path.read_bytes() for path in tmp_path.rglob("*.*")} == before


def test_other_data_under_the_same_name_is_another_sweep(copy):
    draw = np.random.default_rng(1)
    x, y = draw.normal(size=(150, 5)).astype(np.float32), np.arange(150) % 3
    data = nnlab.data.from_arrays(x, y, validation=30, test=30, name="blobs")
    whole = sweep()
    other = nnlab.Sweep(whole.model, data, whole.axes, epochs=2, batch_size=20)
    with pytest.raises(UsageError, match=r"holds another sweep .data "):
        other.run(copy, progress=False)


def test_a_directory_with_something_else_in_it_is_refused_and_left_alone(tmp_path):
    (tmp_path / "thesis.tex").write_text("years of work")
    with pytest.raises(UsageError, match="not empty and holds no sweep"):
        Store.open(tmp_path, describe())
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]


def test_a_kill_before_the_description_is_written_leaves_a_directory_to_begin_in(tmp_path):
    (tmp_path / "sweep.json.123.partial").write_text('{"for')
    assert not Store.open(tmp_path, describe()).has(0)


@pytest.mark.parametrize("out", ["file", "file/runs", "/proc/runs"])
def test_a_directory_that_cannot_be_written_is_refused_before_training(tmp_path, out):
    (tmp_path / "file").write_text("not a directory")
    with pytest.raises(UsageError, match=r"cannot write results to .*; choose another directory"):
        Store.open(tmp_path / out, describe())


def test_a_chunk_that_cannot_be_written_says_that_the_others_are_kept(tmp_path):
    store = begun(tmp_path)
    (tmp_path / "chunks").rename(tmp_path / "elsewhere")
    with pytest.raises(UsageError, match=r"cannot write .*: finished chunks are kept"):
        store.write(1, ARRAYS)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("", "is damaged"),
        ("{", "is damaged"),
        ("[]", "is damaged"),
        ("3", "is damaged"),
        ('{"format": 1}', "is damaged"),
        (json.dumps(describe() | {"format": 2}), "has format 2, this nnlab reads format 1"),
    ],
)
def test_a_damaged_description_is_refused(tmp_path, content, words):
    (tmp_path / "sweep.json").write_text(content)
    for read in (nnlab.load, lambda path: Store.open(path, describe())):
        with pytest.raises(UsageError, match=words):
            read(tmp_path)
    assert (tmp_path / "sweep.json").read_text() == content


@pytest.mark.parametrize("name", ["nothing", "file"])
def test_what_holds_no_sweep_is_not_loaded(tmp_path, name):
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError, match=r"holds no sweep \(no sweep.json\)|does not exist"):
        nnlab.load(tmp_path / name)


def test_a_sweep_without_a_finished_chunk_has_no_results(tmp_path):
    Store.open(tmp_path, describe())
    with pytest.raises(UsageError, match="no chunk of this sweep is finished yet"):
        nnlab.load(tmp_path)


def damage_nothing_left(path: Path) -> None:
    path.write_bytes(b"")


def damage_cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-100])


def damage_flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[content.find(b"train_loss.npy") + 200] ^= 0xFF
    path.write_bytes(content)


def damage_other_arrays(path: Path) -> None:
    with path.open("wb") as file:
        np.savez(file, recipe=np.arange(2))


def damage_text(path: Path) -> None:
    path.write_text("not an archive")


@pytest.mark.parametrize(
    "damage", [damage_nothing_left, damage_cut, damage_flip, damage_other_arrays, damage_text]
)
def test_a_damaged_chunk_is_named_and_trained_anew_once_it_is_deleted(finished, copy, damage):
    chunk = copy / "chunks" / "000001.npz"
    damage(chunk)
    with pytest.raises(UsageError, match=r"000001.npz is damaged .*; delete it and run"):
        nnlab.load(copy)
    chunk.unlink()
    if damage is damage_cut:
        assert_same(sweep().run(copy, progress=False), nnlab.load(finished))


def test_files_of_a_killed_process_are_ignored(finished, copy):
    (copy / "chunks" / "000001.npz").rename(copy / "chunks" / "000001.npz.77.partial")
    unfinished = nnlab.load(copy)
    assert 0 < int(unfinished.finished.sum()) < unfinished.finished.size
    assert np.isnan(unfinished["train_loss"].where(~unfinished.finished, drop=True)).all()


def test_a_finished_sweep_is_not_trained_again(finished):
    before = {path: path.stat().st_mtime_ns for path in finished.rglob("*")}
    again = sweep().run(finished, progress=False)
    assert_same(again, nnlab.load(finished))
    assert {path: path.stat().st_mtime_ns for path in finished.rglob("*")} == before


def test_a_begun_sweep_keeps_its_chunks_and_refuses_other_lanes(finished):
    sweep().run(finished, lanes=2, progress=False)
    with pytest.raises(UsageError, match=r"begun with chunks of .* lanes and keeps them"):
        sweep().run(finished, lanes=6, progress=False)


def test_results_in_memory_equal_results_on_disk(finished):
    stored = nnlab.load(finished).dataset
    memory = sweep().run(lanes=2, progress=False).dataset
    for name in ("train_loss", "val_loss", "test_accuracy", "diverged_at"):
        np.testing.assert_array_equal(memory[name], stored[name])


def test_a_program_that_does_not_fit_in_memory_asks_for_fewer_lanes(monkeypatch, tmp_path):
    def full(*_):
        raise MemoryError

    monkeypatch.setattr("nnlab.sweeps.execute.Program", full)
    with pytest.raises(UsageError, match=r"3 lanes of .* do not fit in memory; .* lanes=1"):
        sweep().run(tmp_path / "runs", lanes=6, progress=False)


# One process at a time, the same program as before, and advice that can be followed --------------


def test_a_second_process_in_the_same_directory_is_refused_and_loses_nothing(tmp_path):
    out = tmp_path / "runs"
    with alone(out), pytest.raises(UsageError, match=r"another process trains into .*runs; wait"):
        sweep().run(out, progress=False)
    assert list(out.iterdir()) == []
    results = sweep().run(out, progress=False)
    np.testing.assert_array_equal(sweep().run(out, progress=False)["val_loss"], results["val_loss"])


def test_a_directory_is_free_again_once_its_process_is_killed(tmp_path):
    program = (
        "import sys, time; from nnlab.sweeps.store import alone\n"
        "with alone(sys.argv[1]): print('held', flush=True); time.sleep(600)"
    )
    holder = subprocess.Popen(
        [sys.executable, "-c", program, tmp_path], stdout=subprocess.PIPE, env=environment()
    )
    with holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"held\n"
        with pytest.raises(UsageError, match="another process"), alone(tmp_path):
            pytest.fail("two processes held one directory")
        holder.kill()
    with alone(tmp_path):
        pass


def test_what_continues_is_the_program_that_began():
    axes = {
        "optimizer": ["sgd", "momentum", "adam"],
        "learning_rate": list(np.geomspace(0.01, 1, 40)),
    }
    mixed = nnlab.Sweep(nnlab.models.mlp([4]), blobs(), axes, epochs=1, batch_size=20)
    begun, planned = mixed.groups(lanes=96), mixed.groups()
    described = json.loads(json.dumps(describe_sweep(mixed, begun)))
    assert planned[0].together != begun[0].together
    (again,) = as_begun(planned, described)
    assert (again.shape, again.together) == (begun[0].shape, begun[0].together)


def test_descriptions_of_before_counted_the_lanes_of_one_seed():
    axes = {"optimizer": ["sgd", "adam"], "seed": range(12)}
    sweep = nnlab.Sweep(nnlab.models.mlp([4]), blobs(), axes, epochs=1, batch_size=20)
    begun = sweep.groups(lanes=12)
    described = json.loads(json.dumps(describe_sweep(sweep, begun)))
    (chunk,) = described["chunks"]
    assert (chunk["seeds"], chunk.pop("at_a_time")) == (6, 12)
    assert as_begun(begun, described)[0].together == begun[0].together
    chunk["together"] = 2
    assert as_begun(begun, described)[0].together == 12


def test_where_memory_ends_the_advice_can_be_followed(tmp_path):
    (group,) = sweep().groups()
    store = Store(tmp_path)
    with (
        pytest.raises(UsageError, match=r"do not fit in memory; try .*[^y]$"),
        memory_in_words(group, store),
    ):
        raise MemoryError
    (tmp_path / "chunks").mkdir()
    (tmp_path / "chunks" / "000000.npz").touch()
    with (
        pytest.raises(UsageError, match="in another directory: this one keeps its chunks"),
        memory_in_words(group, store),
    ):
        raise MemoryError
