"""IDX files: the format of MNIST and its relatives, plain or gzipped.

A file is two zero bytes, a type code, the number of axes, the length of each axis as a big-endian
32-bit integer, then the values in row-major order.  Source: LeCun, Cortes & Burges, "The MNIST
database of handwritten digits", section "The IDX file format".
"""

import gzip
import math
import zlib
from pathlib import Path

import numpy as np

from nnlab.errors import UsageError

DTYPES = {0x08: ">u1", 0x09: ">i1", 0x0B: ">i2", 0x0C: ">i4", 0x0D: ">f4", 0x0E: ">f8"}
GZIP = b"\x1f\x8b"
AGAIN = "copy or download it again"


def read(path: str | Path) -> np.ndarray:
    """The array in an IDX file, in the machine's byte order, with the axes and type it declares.

    Raises UsageError when the file is missing, is a broken gzip, does not start like an IDX file,
    or holds more or fewer bytes than its header promises.
    """
    path = Path(path)
    raw = _content(path)
    if len(raw) < 4 or raw[:2] != b"\0\0" or raw[2] not in DTYPES:
        codes = ", ".join(f"{code:02x}" for code in DTYPES)
        raise UsageError(
            f"{path} starts with {raw[:4].hex(' ') or 'nothing'}; an IDX file starts with 00 00, "
            f"a type code ({codes}) and its number of axes; {AGAIN}"
        )
    dtype, axes = np.dtype(DTYPES[raw[2]]), raw[3]
    header = 4 + 4 * axes
    if len(raw) < header:
        raise UsageError(
            f"{path} ends inside its header, after {len(raw)} of {header} bytes; {AGAIN}"
        )
    shape = tuple(np.frombuffer(raw, ">u4", axes, offset=4).tolist())
    promised = header + math.prod(shape) * dtype.itemsize
    if len(raw) != promised:
        raise UsageError(
            f"{path} holds {len(raw):,} bytes; its header, shape {shape} of {dtype.name}, "
            f"promises {promised:,}; {AGAIN}"
        )
    values = np.frombuffer(raw, dtype, offset=header).reshape(shape)
    return values.astype(dtype.newbyteorder("="), copy=False)


def _content(path: Path) -> bytes:
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise UsageError(
            f"cannot read {path} ({error.strerror}); an IDX file was needed; check the path"
        ) from error
    if not raw.startswith(GZIP):
        return raw
    try:
        return gzip.decompress(raw)
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise UsageError(
            f"{path} is a broken or truncated gzip of {len(raw):,} bytes ({error}); {AGAIN}"
        ) from error
