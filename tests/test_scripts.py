"""Every script runs at toy size, says something, and leaves a report."""

import subprocess
import sys
from pathlib import Path

SCRIPTS = Path(__file__).parents[1] / "scripts"


def test_the_demo_answers_and_writes_a_report(tmp_path):
    command = [sys.executable, SCRIPTS / "demo.py", "--fast", "--out", tmp_path / "demo"]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    assert "is best on validation data" in done.stdout
    assert done.stdout.count("sigmoid with std 1 is") == 4
    assert (tmp_path / "demo" / "report" / "index.html").exists()
