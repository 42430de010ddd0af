"""Whatever cannot be run is one clear line, and nothing is written."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from bad_input import NEEDED


@pytest.fixture(scope="module")
def came(tmp_path_factory) -> dict:
    command = [
        sys.executable,
        Path(__file__).with_name("bad_input.py"),
        tmp_path_factory.mktemp("out"),
    ]
    printed = subprocess.run(command, check=True, capture_output=True, text=True)
    return json.loads(printed.stdout.splitlines()[-1])


@pytest.mark.parametrize("case", NEEDED)
def test_a_request_that_cannot_work_is_one_line_that_says_why(came, case):
    kind, message, written = came[case]
    assert kind == "UsageError", message
    assert "\n" not in message
    for word in NEEDED[case]:
        assert word in message
    for jargon in ("Tracer", "tracer", "dot_general", " at 0x", "np.float"):
        assert jargon not in message
    assert not written
