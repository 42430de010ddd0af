"""Files that appear whole or not at all, whatever stops their writing."""

import os
import signal
import time

import pytest

from nnlab import UsageError
from nnlab.files import replacing, writing_into


def test_a_file_appears_whole_or_not_at_all(tmp_path):
    path = tmp_path / "file"
    with replacing(path) as draft:
        draft.write_text("old")

    def stop_halfway():
        with replacing(path) as draft:
            draft.write_text("ne")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        stop_halfway()
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_ctrl_c_waits_until_a_file_is_written(tmp_path):
    def write():
        with replacing(tmp_path / "file") as draft, draft.open("w") as file:
            file.write("first ")
            os.kill(os.getpid(), signal.SIGINT)
            time.sleep(0.01)
            file.write("second")

    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with pytest.raises(KeyboardInterrupt):
            write()
    finally:
        handler = signal.signal(signal.SIGINT, before)
    assert handler is signal.default_int_handler
    assert (tmp_path / "file").read_text() == "first second"


def test_a_place_that_cannot_be_written_is_said_in_one_line(tmp_path):
    (tmp_path / "file").write_text("no folder")
    place = tmp_path / "file" / "inside"
    with (
        pytest.raises(UsageError, match=r"cannot write into .*inside .*choose"),
        writing_into(place),
    ):
        place.mkdir(parents=True)
