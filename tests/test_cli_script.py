"""A script's command line: its options work, and what cannot work is one line and status 2."""

import runpy
import subprocess
import sys

import pytest

SCRIPT = '''"""What is asked."""
from pathlib import Path
import nnlab
from nnlab.cli.script import run

def main(out: Path = Path("runs/x"), seeds: int = 3, fast: bool = False) -> None:
    """Internal."""
    import jax
    if seeds < 1:
        raise nnlab.UsageError(f"seeds needs 1 or more, got {seeds}; try 3")
    if seeds == 9:
        raise KeyboardInterrupt
    print(out, seeds, fast, jax.local_device_count("cpu") >= 1)

if __name__ == "__main__":
    run(main)
'''


def test_a_script_is_a_command(tmp_path):
    file = tmp_path / "study.py"
    file.write_text(SCRIPT)
    command = [sys.executable, file, "--seeds", "2", "--fast"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (0, "runs/x 2 True True\n", "")
    command[2:] = ["--seeds", "9"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "study: interrupted\n")


def test_a_script_has_options_and_every_failure_is_one_line(tmp_path, monkeypatch, capsys):
    file = tmp_path / "study.py"
    file.write_text(SCRIPT)

    def run(*words: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", [str(file), *words])
        with pytest.raises(SystemExit) as exit_:
            runpy.run_path(str(file), run_name="__main__")
        captured = capsys.readouterr()
        return exit_.value.code or 0, captured.out, captured.err

    status, printed, errors = run("--seeds", "0")
    assert (status, printed, errors) == (2, "", "study: seeds needs 1 or more, got 0; try 3\n")
    status, printed, errors = run("--bogus")
    assert (status, printed, errors.count("\n")) == (2, "", 1)
    assert errors.startswith("study: No such option: --bogus")
    assert "What is asked." in run("--help")[1]
