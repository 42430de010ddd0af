"""What a person types at a shell, and what comes back."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import nnlab
from nnlab import UsageError
from nnlab.cli.words import numbers, seeds, split, values
from nnlab.data import DATASETS
from nnlab.sweeps.choices import TABLES

TINY = ["--hidden", "8", "--epochs", "2", "--seeds", "2", "--learning-rate", "0.01,0.1"]


def module(*words: object) -> subprocess.CompletedProcess:
    command = [sys.executable, "-m", "nnlab.cli.app", *map(str, words)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


# Words --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("knob", "text", "read"),
    [
        ("learning_rate", "0.1", [0.1]),
        ("learning_rate", "0.1, 1e-3,2", [0.1, 1e-3, 2]),
        ("learning_rate", "1e-3..1:4", [0.001, 0.01, 0.1, 1.0]),
        ("learning_rate", "1e-2..1:3,5", [0.01, 0.1, 1.0, 5]),
        ("momentum", "0..0.9:4:linear", [0.0, 0.3, 0.6, 0.9]),
        ("batch_size", "16..64:3", [16, 32, 64]),
        ("nesterov", "on,off", [True, False]),
        ("batch_norm", "on,OFF", [True, False]),
        ("init", "normal(0.1,mean=1),he", ["normal(0.1,mean=1)", "he"]),
        ("activation", "leaky_relu:0.2,maxout(3)", ["leaky_relu:0.2", "maxout(3)"]),
        ("hidden", "2x100,512-256", [(100, 100), (512, 256)]),
        ("hidden", "2x8-4,linear", [(8, 8, 4), ()]),
        ("hidden", 50, [(50,)]),
        ("hidden", [50, 60], [(50,), (60,)]),
        ("hidden", [[50, 60], "2x3"], [[50, 60], (3, 3)]),
        ("hidden", "99x2", [(2,) * 99]),
        ("channels", "8-16,2x4", [(8, 16), (4, 4)]),
        ("channels", 8, [(8,)]),
        ("learning_rate", [0.1, "1e-2..1:2"], [0.1, 0.01, 1.0]),
    ],
)
def test_words_become_values(knob, text, read):
    assert values(knob, text) == read
    assert list(map(type, values(knob, text))) == list(map(type, read))


def test_commas_inside_parentheses_do_not_separate():
    assert split("a(1,2), b:3 ,, c") == ["a(1,2)", "b:3", "c"]


def test_seeds_are_a_number_or_a_list():
    assert list(seeds("3")) == list(seeds(3)) == [0, 1, 2]
    assert seeds("3,7") == [3, 7]
    assert seeds([3]) == [3]
    assert seeds([0]) == [0]


def test_range_ends_are_exact():
    assert numbers("learning_rate", "1e-4..1:9")[::8] == [1e-4, 1.0]


# Commands -----------------------------------------------------------------------------------------


def test_a_dry_run_counts_trains_nothing_and_writes_nothing(nnlab_, tmp_path, monkeypatch):
    monkeypatch.setattr("nnlab.sweeps.sweep.execute", None)
    out = tmp_path / "runs"
    status, printed, _ = nnlab_(
        "ablate", *TINY, "--optimizer", "sgd,adam", "--dry-run", "--out", out
    )
    assert status == 0
    assert "runs  8" in printed
    assert "config-steps  192" in printed
    assert "no run was trained" in printed
    assert not out.exists()


@pytest.fixture(scope="module")
def trained(tmp_path_factory) -> tuple[Path, str]:
    """A small sweep through a real process, and what it printed."""
    out = tmp_path_factory.mktemp("cli") / "runs"
    done = module("ablate", *TINY, "--out", out)
    assert done.returncode == 0, done.stderr
    return out, done.stdout


def test_a_sweep_prints_what_was_found_and_how_to_see_it(trained):
    out, printed = trained
    assert "4 runs" in printed
    assert "4 finished, 0 of them diverged" in printed
    assert f"nnlab report {out}" in printed
    results = nnlab.load(out)
    assert results["val_accuracy"].dims == ("learning_rate", "seed", "epoch")
    assert results.labels("learning_rate").tolist() == [0.01, 0.1]
    assert float(results["test_accuracy"].max()) > 0.4


def test_the_same_command_again_trains_nothing_and_prints_the_same(trained, nnlab_, monkeypatch):
    monkeypatch.setattr("nnlab.sweeps.execute.train_group", None)
    out, printed = trained
    status, again, errors = nnlab_("ablate", *TINY, "--out", out, "--quiet")
    assert (status, again, errors) == (0, printed, "")


def test_another_command_there_is_refused(trained, nnlab_):
    out, _ = trained
    status, printed, errors = nnlab_("ablate", *TINY, "--out", out, "--momentum", "0.8")
    assert (status, printed) == (2, "")
    assert errors.startswith("nnlab: momentum does nothing for optimizer adam")
    status, _, errors = nnlab_("ablate", *TINY, "--out", out, "--init", "xavier")
    assert status == 2
    assert 'holds another sweep (init: "he" there, "xavier" asked for)' in errors


def test_a_report_is_written_where_it_says(trained, nnlab_, tmp_path):
    out, _ = trained
    status, printed, _ = nnlab_("report", out, "--to", tmp_path / "page")
    assert status == 0
    assert printed.startswith("wrote ")
    assert any((tmp_path / "page").rglob("*.html"))


TOML = """
data = "digits"
hidden = "8"
learning_rate = [0.01, 0.1]
optimizer = "sgd,adam"
batch_norm = [false, true]
epochs = 3
seeds = 2

[set]
beta1 = [0.8, 0.9]
"""


@pytest.fixture
def meant(nnlab_, monkeypatch):
    """The sweep that a command line means."""
    caught = []

    def summary(sweep, lanes):
        caught.append(sweep)
        raise UsageError("caught")

    def read(*words: object) -> nnlab.Sweep:
        assert "caught" in nnlab_("ablate", *words, "--dry-run")[2]
        return caught[-1]

    monkeypatch.setattr(nnlab.Sweep, "summary", summary)
    return read


def test_a_toml_file_says_the_same_as_options(meant, tmp_path):
    file = tmp_path / "sweep.toml"
    file.write_text(TOML)
    options = ["--hidden", "8", "--learning-rate", "0.01,0.1", "--optimizer", "sgd,adam"]
    options += ["--batch-norm", "off,on", "--epochs", "3", "--seeds", "2", "--set", "beta1=0.8,0.9"]
    written, typed = meant(file), meant(*options)
    assert (written.axes, written.knobs) == (typed.axes, typed.knobs)
    assert written.model == typed.model == nnlab.models.mlp([8])
    assert written.axes["beta1"] == [0.8, 0.9]
    assert written.axes["seed"] == [0, 1]


@pytest.mark.parametrize(
    ("words", "model", "axis"),
    [
        (["--channels", "4-8", "--hidden", "16"], nnlab.models.convnet([4, 8], [16]), None),
        (["--channels", "4-8"], nnlab.models.convnet([4, 8]), None),
        (["--channels", "4,4-8"], nnlab.models.convnet(), [(4,), (4, 8)]),
        (["--hidden", "16"], nnlab.models.mlp([16]), None),
        ([], nnlab.models.mlp(), None),
    ],
)  # fmt: skip
def test_channels_make_a_convnet_and_nothing_an_mlp(meant, tmp_path, words, model, axis):
    typed = meant(*words)
    assert (typed.model, typed.axes.get("channels")) == (model, axis)
    file = tmp_path / "sweep.toml"
    pairs = zip(words[::2], words[1::2], strict=True)
    file.write_text("\n".join(f'{name[2:]} = "{text}"' for name, text in pairs))
    written = meant(file)
    assert (written.model, written.axes) == (typed.model, typed.axes)


def test_an_option_wins_over_the_file(meant, tmp_path):
    file = tmp_path / "sweep.toml"
    file.write_text(TOML)
    words = ["--epochs", "5", "--hidden", "4,5", "--set", "beta1=0.7", "--limit", "100"]
    sweep = meant(file, *words)
    assert sweep.knobs["epochs"] == 5
    assert sweep.axes["hidden"] == [(4,), (5,)]
    assert "beta1" not in sweep.axes
    assert sweep.knobs["beta1"] == 0.7
    assert sweep.axes["learning_rate"] == [0.01, 0.1]
    assert len(sweep.data.train.y) == 100


def test_every_entry_of_every_table_is_listed_with_what_it_is(nnlab_, monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")
    status, printed, _ = nnlab_("list")
    assert status == 0
    lines = [line.split() for line in printed.splitlines() if line.strip()]
    listed = {words[0] for words in lines if len(words) > 2}
    names = {name for table in TABLES.values() for name in table} | set(DATASETS)
    assert names <= listed


def test_listing_one_kind_lists_that_kind_with_its_arguments(nnlab_):
    _, printed, _ = nnlab_("list", "activation")
    assert "maxout" in printed
    assert "pieces" in printed
    assert "xavier" not in printed


def test_brackets_in_a_description_are_shown(nnlab_, monkeypatch):
    def bracketed():
        """Draws a [in, out] matrix."""

    monkeypatch.setitem(TABLES["init"], "bracketed", bracketed)
    assert "Draws a [in, out] matrix." in nnlab_("list", "init")[1]


def test_help_tells_every_option_and_no_command_tells_the_commands(nnlab_):
    status, printed, _ = nnlab_("ablate", "--help")
    assert status == 0
    for word in ("--init", "--learning-rate", "--seeds", "--set", "--out", "--dry-run"):
        assert word in printed
    done = module()
    assert "ablate" in done.stdout + done.stderr


# Bad input ----------------------------------------------------------------------------------------

REFUSED = {
    "ablat": ["No such command"],
    "ablate --bogus 3": ["No such option: --bogus"],
    "ablate --limit many": ["--limit"],
    "ablate --limit 0": ["limit=0", "1,257"],
    "ablate --init hee": ["unknown init 'hee'", "did you mean 'he'"],
    "ablate --init": ["--init"],
    "ablate --activation relu,relu": ["axis activation repeats relu"],
    "ablate --activation ,": ["activation has no values"],
    "ablate --learning-rate x": ["--learning-rate needs numbers, got 'x'", "1e-4..1:8"],
    "ablate --learning-rate=-0.1": ["needs learning_rate > 0", "try 0.1"],
    "ablate --epochs ten": ["--epochs needs whole numbers, got 'ten'; try 10 or 10,20,50"],
    "ablate --seeds a": ["--seeds needs whole numbers, got 'a'; try 3 or 0,7"],
    "ablate --hidden 100x10": ["asks for 100 layers of 10, and 99 is the most", "10x100"],
    "ablate --channels linear": ["--channels 'linear' is no list", "write 5x100 or 512-256"],
    "ablate --channels 0": ["channels needs a list of sizes of 1 or more"],
    "ablate --init xavier:-1": ["init 'xavier:-1': gain is -1; it needs gain >= 0; try 1"],
    "ablate --by val_brier": ["unknown metric 'val_brier'", "--metrics brier"],
    "search --learning-rate 1e-2..1e-6": ["low < high, got 1e-2..1e-6; try 1e-6..1e-2"],
    "search --dropout 0.5..0.1:linear": ["try 0.1..0.5:linear"],
    "search --channels 4..8": ["whole numbers need a list"],
    "ablate --learning-rate nan": ["learning_rate needs a finite number"],
    "ablate --learning-rate 1..0.1:3": ["0 < low <= high", "1..0.1"],
    "ablate --learning-rate 0..1:3": ["0 < low <= high"],
    "ablate --learning-rate 0.1..1": ["is no range; write 1e-4..1:8"],
    "ablate --learning-rate 0.1..1:0": ["from 1 to 1,000,000 values, got 0"],
    "ablate --learning-rate 0.1..1:9999999999": ["1,000,000 values"],
    "ablate --learning-rate 0..1:0:linear": ["values, got 0"],
    "ablate --learning-rate inf..1:3": ["0 < low <= high"],
    "ablate --learning-rate on": ["learning_rate needs"],
    "ablate --dropout -0.1": ["dropout needs a probability", "-0.1"],
    "ablate --dropout 0.5 --hidden linear": ["dropout changes nothing", "has no dropout"],
    "ablate --batch-norm maybe": ["--batch-norm takes on, off or on,off, got 'maybe'"],
    "ablate --set reshuffle=maybe": ["--reshuffle takes on, off or on,off, got 'maybe'"],
    "ablate --momentum 0.9,0.99": ["momentum does nothing for optimizer adam"],
    "ablate --hidden 0x5": ["--hidden '0x5'", "5x100"],
    "ablate --hidden -5": ["--hidden '-5'", "5x100"],
    "ablate --hidden 0": ["hidden needs a list of sizes of 1 or more"],
    "ablate --hidden 999999x5": ["--hidden '999999x5'"],
    "ablate --batch-size 99999": ["batch_size 99999 is larger than the 1257", "digits"],
    "ablate --batch-size 0": ["batch_size needs a whole number from 1"],
    "ablate --epochs 0": ["epochs needs a whole number from 1"],
    "ablate --epochs 1.5": ["epochs needs a whole number", "1.5"],
    "ablate --seeds 0": ["--seeds needs how many"],
    "ablate --seeds -3": ["--seeds needs how many"],
    "ablate --seeds 1.5": ["--seeds needs how many"],
    "ablate --seeds 9999999999": ["axis seed has more than 1,000,000 values"],
    "ablate --seeds 3,3": ["axis seed repeats 3"],
    "ablate --lanes 0": ["lanes needs a whole number from 1"],
    "ablate --lanes -2": ["lanes needs a whole number from 1"],
    "ablate --lanes 999999999999": ["lanes needs a whole number"],
    "ablate --set beta1": ["--set needs name=values", "'beta1'"],
    "ablate --set beta1=0.8 --set beta1=0.9": ["--set beta1 is given twice"],
    "ablate --set bta1=0.8,0.9": ["unknown knob 'bta1'; did you mean 'beta1'"],
    "ablate --set init=he": ["init is not for set; use its own option --init"],
    "ablate --set seed=1": ["use its own option --seeds"],
    "ablate --optimizer sgd --set beta1=0.8": ["beta1 does nothing for optimizer sgd"],
    "ablate --data mnits": ["unknown data set 'mnits'", "did you mean 'mnist'"],
    "ablate --data mnist --data-dir {tmp}/none": ["is not a folder"],
    "ablate --scaling big": ["unknown scaling 'big'"],
    "ablate {tmp}/none.toml": ["cannot read", "none.toml", "existing file"],
    "ablate {tmp}/file": ["is not valid TOML"],
    "ablate {tmp}": ["cannot read"],
    "ablate --out {tmp}/file": ["cannot write results to", "choose another directory"],
    "ablate --out {tmp}": ["is not empty and holds no sweep"],
    "report {tmp}/none": ["does not exist; give the directory"],
    "report {tmp}": ["holds no sweep"],
    "report": ["Missing argument", "directory"],
    "list nonsense": ["unknown kind 'nonsense'", "optimizer"],
}


@pytest.mark.parametrize("command", REFUSED)
def test_a_command_that_cannot_work_is_one_line_and_status_2(
    nnlab_, tmp_path, monkeypatch, command
):
    monkeypatch.setattr("nnlab.sweeps.execute.train_group", None)
    (tmp_path / "file").write_text("neither = toml = nor a directory")
    status, printed, errors = nnlab_(*command.replace("{tmp}", str(tmp_path)).split())
    assert status == 2
    assert printed == ""
    assert errors.startswith("nnlab: ")
    assert errors.count("\n") == 1
    for word in REFUSED[command]:
        assert word in errors
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


BAD_TOML = {
    'epoch = 3': ["unknown entry", "'epoch'; did you mean 'epochs'"],
    'epochs = "many"': ["--epochs needs whole numbers, got 'many'"],
    "learning_rate = [0.1": ["is not valid TOML"],
    "learning_rate = []": ["learning_rate has no values"],
    "learning_rate = {a = 1}": ["learning_rate needs a finite number"],
    "data = 3": ['data needs "text", got 3'],
    "data_dir = 3": ['data_dir needs "text", got 3'],
    'limit = "all"': ["limit needs a whole number, got 'all'"],
    "set = 3": ["set needs a table: [set], got 3"],
    "seeds = true": ["--seeds needs how many"],
    "seeds = []": ["--seeds needs how many"],
    "hidden = [10, 10]": ["hidden = [10, 10]", "one network of 2 layers is [[10, 10]]"],
    'out = "runs"': ["out says how to run", "--out"],
    "lanes = 3": ["--lanes"],
    "confirm = 3": ["confirm says how to run", "--confirm"],
    "dry-run = true": ["--dry-run"],
    "hidden = -4": ["--hidden '-4'"],
    "hidden = [[4, -1]]": ["hidden needs a list of sizes of 1 or more"],
    "hidden = 1.5": ["--hidden '1.5'"],
    "init = 3": ["init takes a name"],
    "batch_norm = 1": ["batch_norm is on or off"],
    "dropout = 1979-05-27": ["dropout needs a finite number"],
    "[set]\nlearning_rate = 3": ["use its own option --learning-rate"],
    "[set]\nbta1 = 3": ["did you mean 'beta1'"],
}  # fmt: skip


@pytest.mark.parametrize("content", BAD_TOML)
def test_a_file_that_cannot_work_is_one_line_and_status_2(nnlab_, tmp_path, monkeypatch, content):
    monkeypatch.setattr("nnlab.sweeps.execute.train_group", None)
    (tmp_path / "bad.toml").write_text(content)
    status, printed, errors = nnlab_("ablate", tmp_path / "bad.toml")
    assert status == 2
    assert printed == ""
    assert errors.startswith("nnlab: ")
    assert errors.count("\n") == 1
    for word in BAD_TOML[content]:
        assert word in errors


def test_a_damaged_chunk_is_one_line_in_a_real_process(trained, tmp_path):
    out, _ = trained
    (tmp_path / "chunks").mkdir()
    (tmp_path / "sweep.json").write_bytes((out / "sweep.json").read_bytes())
    (tmp_path / "chunks" / "000000.npz").write_bytes(b"damaged")
    done = module("report", tmp_path)
    assert (done.returncode, done.stdout) == (2, "")
    assert "000000.npz is damaged" in done.stderr
    assert "Traceback" not in done.stderr
    assert done.stderr.count("\n") == 1


def test_what_a_sweep_is_can_be_read_in_its_directory(trained):
    out, _ = trained
    described = json.loads((out / "sweep.json").read_text())
    assert described["sweep"]["axes"] == {"learning_rate": [0.01, 0.1], "seed": [0, 1]}
    assert described["sweep"]["model"] == "MLP(hidden=(8,))"
    assert sum(chunk["runs"] for chunk in described["chunks"]) == 4
    assert np.isfinite(nnlab.load(out)["train_loss"]).all()
