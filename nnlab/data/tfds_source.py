"""Data sets by their TFDS name, read without TensorFlow.

TensorFlow Datasets knows where data sets live and what their checksums are, and reads prepared
`array_record` data with random access.  It needs TensorFlow only to unpack archives and to encode
images, that is, to prepare most sets; MNIST-like sets are therefore read from their original files.
TFDS is imported when a data set is asked for, and kept silent: what matters becomes one error line.
"""

import contextlib
import hashlib
import importlib.util
import io
import logging
import os
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from nnlab.data.arrays import checked
from nnlab.data.dataset import Split
from nnlab.errors import UsageError, unknown

NAME = re.compile(r"[a-z][a-z0-9_]*(/[\w.+-]+)?")
BATCH = 1024
SECONDS = 10
"""How long to wait for a server before calling it unreachable (TFDS would retry for minutes)."""


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Hold back TFDS's progress bars, notices and log lines."""
    level = logging.root.manager.disable
    logging.disable(logging.ERROR)
    try:
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
            yield
    finally:
        logging.disable(level)


@quiet()
def find(name: str, folder: Path | None, known: Iterable[str]) -> Any:
    """TFDS's builder of a data set, prepared or not; `known` are the names nnlab itself lists.

    `folder` is TFDS's data folder; None is the one TFDS uses (TFDS_DATA_DIR, or
    ~/tensorflow_datasets).
    """
    message = f"{unknown('data set', name, known)}, or give the TFDS name of a set of images"
    if not NAME.fullmatch(name):
        raise UsageError(message)
    import tensorflow_datasets as tfds

    try:
        return tfds.builder(name, data_dir=folder)
    except tfds.core.DatasetNotFoundError as error:
        raise UsageError(message) from error
    except (ValueError, AssertionError) as error:
        raise UsageError(
            f"TFDS cannot open {name!r} ({first_line(error)}); check the part after the slash"
        ) from error


@quiet()
def readable(builder: Any) -> bool:
    """Whether the set is prepared as array_record, the format with random access."""
    file_format = getattr(builder.info.file_format, "value", None)
    return builder.is_prepared() and file_format == "array_record"


@quiet()
def prepare(builder: Any) -> None:
    """Make the set readable, or say in one line why it cannot be and what would help."""
    if readable(builder):
        return
    advice = (
        f"where TensorFlow is installed run: tfds build {builder.name} --file_format=array_record; "
        "then give its data folder as data_dir, or try digits"
    )
    if builder.is_prepared():
        raise UsageError(
            f"{builder.data_dir} holds {builder.info.file_format.value} files; reading without "
            f"TensorFlow needs array_record; {advice}"
        )
    if builder.url_infos and importlib.util.find_spec("tensorflow") is None:
        raise UsageError(
            f"{builder.name} is not prepared in {builder.data_dir}; TFDS needs TensorFlow to "
            f"prepare it; {advice}"
        )
    import tensorflow_datasets as tfds

    config = tfds.download.DownloadConfig(try_download_gcs=False)
    try:
        builder.download_and_prepare(download_config=config, file_format="array_record")
    except Exception as error:  # TFDS's errors share no base class
        raise UsageError(
            f"TFDS could not prepare {builder.name} in {builder.data_dir} "
            f"({first_line(error)}); {advice}"
        ) from error


def downloaded(builder: Any) -> bool:
    """Whether TFDS already holds the set's original files."""
    finished = list((_downloads(builder) / builder.name).glob("*.gz"))
    return len(finished) >= len(builder.url_infos) > 0


@quiet()
def fetch(builder: Any) -> dict[str, Path]:
    """The set's original files by name, from TFDS's downloads folder or the addresses it registers.

    TFDS verifies their checksums.  Raises UsageError when they cannot be had.
    """
    import requests
    import tensorflow_datasets as tfds

    urls = {info.filename: url for url, info in builder.url_infos.items()}
    address = next(iter(urls.values()))
    try:
        if not downloaded(builder):
            requests.head(address, timeout=SECONDS).close()
        manager = tfds.download.DownloadManager(
            download_dir=_downloads(builder),
            url_infos=builder.url_infos,
            dataset_name=builder.name,
        )
        paths: dict[str, Any] = manager.download(urls)
    except Exception as error:  # TFDS's errors share no base class
        offline = isinstance(error, requests.ConnectionError | requests.Timeout)
        reason = f"no connection: {type(error).__name__}" if offline else first_line(error)
        raise UsageError(
            f"cannot download {builder.name} from {address} ({reason}); give a folder with its "
            "four original .gz files as data_dir (--data-dir), or try digits, which needs no files"
        ) from error
    return {file: Path(path) for file, path in paths.items()}


@quiet()
def read(builder: Any, split: str, rows: np.ndarray) -> Split:
    """The examples of a prepared split that are stored at positions `rows`."""
    image, label, _ = columns(builder)
    features = builder.info.features
    x = np.empty((len(rows), *features[image].shape), features[image].np_dtype)
    y = np.empty(len(rows), features[label].np_dtype)
    source = builder.as_data_source(split)
    for start in range(0, len(rows), BATCH):
        batch = source.__getitems__(rows[start : start + BATCH].tolist())
        for i, example in enumerate(batch, start):
            x[i], y[i] = example[image], example[label]
    return checked(x, y, word=f"{split} ")


def columns(builder: Any) -> tuple[str, str, int | None]:
    """The names of the input and the target, and the number of classes where TFDS knows it."""
    features = builder.info.features
    keys = builder.info.supervised_keys or ("image", "label")
    if len(keys) != 2 or not all(key in features for key in keys):
        raise UsageError(
            f"{builder.name} has {', '.join(features)}; a pair of an input and a target was "
            "needed; choose a set of labelled images"
        )
    image, label = keys
    shape = getattr(features[image], "shape", None)
    if not (isinstance(shape, tuple) and shape and None not in shape):
        raise UsageError(
            f"the {image!r} of {builder.name} has shape {shape}; arrays of one fixed shape were "
            "needed; choose a set of images of equal size"
        )
    return image, label, getattr(features[label], "num_classes", None)


def file_order(split: str, n: int) -> np.ndarray:
    """Where TFDS stored examples 0..n-1 of an original file.

    TFDS stores a split sorted by md5(split name, key), and the key of an MNIST-like set is the
    example's position in its file.  Source: tensorflow_datasets/core/hashing.py and shuffle.py.
    """

    def rank(key: int) -> bytes:
        return hashlib.md5(f"{split}{key}".encode(), usedforsecurity=False).digest()

    return np.argsort(sorted(range(n), key=rank))


def first_line(error: BaseException) -> str:
    """An exception as one line."""
    lines = str(error).strip().splitlines() or [""]
    return f"{type(error).__name__}: {lines[0].rstrip(':')}"


def _downloads(builder: Any) -> Path:
    return Path(os.fspath(builder.data_dir_root)) / "downloads"
