"""Small files that pass for original data, and the shape of a good error."""

import gzip
import hashlib
import io
import struct

import numpy as np
import pytest
from PIL import Image

from nnlab.data import idx, originals
from nnlab.errors import UsageError

N_TRAIN, N_TEST = 60, 20


def fails(call, *words):
    """The call raises a UsageError of one line that holds all the words."""
    with pytest.raises(UsageError) as caught:
        call()
    message = str(caught.value)
    assert "\n" not in message
    for word in words:
        assert str(word) in message, message


def idx_bytes(values):
    code = {np.dtype(dtype).newbyteorder("="): code for code, dtype in idx.DTYPES.items()}
    header = bytes([0, 0, code[values.dtype], values.ndim])
    lengths = struct.pack(f">{values.ndim}I", *values.shape)
    return header + lengths + values.astype(values.dtype.newbyteorder(">")).tobytes()


def pretend_mnist(folder, monkeypatch):
    """Write four small original files into a new folder and have nnlab take them for MNIST's."""
    rng = np.random.default_rng(5)
    folder.mkdir()
    for images, labels, n in (
        (originals.TRAIN_X, originals.TRAIN_Y, N_TRAIN),
        (originals.TEST_X, originals.TEST_Y, N_TEST),
    ):
        pixels = rng.integers(0, 256, (n, 28, 28), np.uint8)
        for file, values in ((images, pixels), (labels, np.arange(n, dtype=np.uint8) % 10)):
            (folder / file).write_bytes(gzip.compress(idx_bytes(values), mtime=0))
    sums = {file: sha256(folder / file) for file in originals.FILES}
    monkeypatch.setitem(originals.ORIGINALS, "mnist", sums)
    return folder


def sha256(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


def png(pixels):
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, "png")
    return stream.getvalue()
