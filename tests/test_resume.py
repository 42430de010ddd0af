"""A sweep that is stopped loses at most the chunks in flight, and ends as if it had not been."""

import signal
import subprocess
import sys
import time
from pathlib import Path

from hurry import environment

import nnlab

RUNS = 40
WORDS = ["--hidden", "linear", "--init", "uniform", "--optimizer", "sgd", "--batch-size", "10"]
WORDS += ["--epochs", "20", "--seeds", str(RUNS), "--lanes", "1", "--quiet"]
ONE_DEVICE = environment() | {"JAX_NUM_CPU_DEVICES": "1", "JAX_PLATFORMS": "cpu"}
PATIENCE = 240.0


# What a shell starts in the background is deaf to Ctrl-C, and so are its children.
HEARING = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)"
COMMAND = [sys.executable, "-c", f"{HEARING}; from nnlab.cli.app import main; main()", "ablate"]


def start(out: Path) -> subprocess.Popen:
    return subprocess.Popen(
        [*COMMAND, *WORDS, "--out", str(out)],
        env=ONE_DEVICE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def finish(out: Path) -> str:
    """Run the sweep to its end; what it printed."""
    process = start(out)
    printed, errors = process.communicate(timeout=PATIENCE)
    assert (process.returncode, errors) == (0, "")
    return printed


def stop(out: Path, number: int) -> tuple[int, str]:
    """Run the sweep and send a signal once one more chunk is on disk; (exit status, its errors)."""
    before, process, began = len(chunks(out)), start(out), time.monotonic()
    while len(chunks(out)) == before:
        assert process.poll() is None, "the sweep ended before it could be stopped"
        assert time.monotonic() - began < PATIENCE
        time.sleep(0.001)
    process.send_signal(number)
    _, errors = process.communicate(timeout=PATIENCE)
    return process.returncode, errors


def chunks(out: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in out.glob("chunks/*.npz")}


def test_a_sweep_stopped_by_ctrl_c_and_by_a_kill_ends_bit_for_bit_as_if_never_stopped(tmp_path):
    out, never_stopped = tmp_path / "stopped", tmp_path / "never"

    status, errors = stop(out, signal.SIGINT)
    assert status == 130, errors
    assert f"interrupted; finished chunks are in {out}; the same command continues" in errors
    assert "Traceback" not in errors
    after_ctrl_c = chunks(out)
    assert 0 < int(nnlab.load(out).finished.sum()) == len(after_ctrl_c) < RUNS

    status, _ = stop(out, signal.SIGKILL)
    assert status == -signal.SIGKILL
    after_kill = chunks(out)
    assert after_ctrl_c.items() < after_kill.items()
    assert int(nnlab.load(out).finished.sum()) == len(after_kill) < RUNS

    assert finish(out).splitlines()[:2] == finish(never_stopped).splitlines()[:2]
    assert after_kill.items() < chunks(out).items()
    assert (
        nnlab.load(out)
        .dataset.drop_attrs()
        .identical(nnlab.load(never_stopped).dataset.drop_attrs())
    )
