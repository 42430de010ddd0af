"""nnlab.data through TFDS: downloads from a local server, prepared data, and what it refuses."""

import functools
import http.server
import json
import threading
from pathlib import Path

import numpy as np
import pytest
from data_cases import N_TEST, N_TRAIN, fails, png, pretend_mnist

from nnlab.data import idx, load, originals, tfds_source


@pytest.fixture(autouse=True)
def _no_environment(monkeypatch):
    monkeypatch.delenv("NNLAB_DATA_DIR", raising=False)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")


@pytest.fixture
def tiny(tmp_path, monkeypatch):
    return pretend_mnist(tmp_path / "files", monkeypatch)


@pytest.fixture
def tfds(tmp_path, monkeypatch):
    """TFDS with a data folder of its own."""
    with tfds_source.quiet():
        import tensorflow_datasets

    home = tmp_path / "tfds"
    home.mkdir()
    monkeypatch.setattr(tensorflow_datasets.core.constants, "DATA_DIR", str(home))
    return tensorflow_datasets


@pytest.fixture
def silent(capfd, caplog):
    """The test fails when anything was printed or logged."""
    yield
    printed = capfd.readouterr()
    assert (printed.out, printed.err, caplog.get_records("call")) == ("", "", [])


@pytest.fixture
def serve(tfds, monkeypatch):
    """Serves a folder's files at a local address that TFDS takes for MNIST's."""
    servers = []

    def start(folder, *, checksums=None):
        handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=folder)
        monkeypatch.setattr(http.server.SimpleHTTPRequestHandler, "log_message", lambda *_: None)
        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
        servers.append(server)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        register(tfds, monkeypatch, f"http://127.0.0.1:{server.server_port}", folder, checksums)
        return server

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


def register(tfds, monkeypatch, address, folder, checksums=None):
    infos = {
        f"{address}/{file}": tfds.core.download.checksums.UrlInfo(
            size=tfds.core.utils.Size((folder / file).stat().st_size),
            checksum=(checksums or originals.ORIGINALS["mnist"])[file],
            filename=file,
        )
        for file in originals.FILES
    }
    monkeypatch.setattr(tfds.image_classification.MNIST, "url_infos", infos)


def test_without_a_folder_mnist_is_downloaded_by_tfds_once_and_then_read_offline(
    tiny, serve, tmp_path, silent
):
    server = serve(tiny)
    first = load("mnist", validation=7)
    server.shutdown()
    server.server_close()
    again = load("mnist", validation=7)
    own = load("mnist", validation=7, data_dir=tmp_path / "tfds")
    files = load("mnist", validation=7, data_dir=tiny)
    prints = {data.fingerprint() for data in (first, again, own, files)}
    assert len(prints) == 1


def test_without_a_connection_the_download_fails_in_one_line(tiny, tfds, monkeypatch, silent):
    register(tfds, monkeypatch, "http://127.0.0.1:9", tiny)
    fails(
        lambda: load("mnist"), "cannot download mnist from http://127.0.0.1:9", "no connection",
        "--data-dir", "digits",
    )  # fmt: skip


def test_a_download_with_the_wrong_checksum_is_refused(tiny, serve):
    sums = dict.fromkeys(originals.FILES, "0" * 64)
    serve(tiny, checksums=sums)
    fails(lambda: load("mnist"), "cannot download mnist", "wrong checksum")


def test_a_file_the_server_does_not_have_is_named(tiny, serve):
    serve(tiny)
    (tiny / originals.TRAIN_X).unlink()
    fails(lambda: load("mnist"), "cannot download mnist", originals.TRAIN_X, "404")


def test_mnist_prepared_by_tfds_itself_has_the_examples_and_order_of_the_files(
    tiny, tfds, tmp_path, monkeypatch
):
    # TFDS's own MNIST builder; only what it does with TensorFlow (gzip, PNG) is done without.
    module = tfds.image_classification.mnist
    encoder = tfds.core.features.image_feature._ImageEncoder
    monkeypatch.setattr(module, "_TRAIN_EXAMPLES", N_TRAIN)
    monkeypatch.setattr(module, "_TEST_EXAMPLES", N_TEST)
    monkeypatch.setattr(module, "_extract_mnist_images", lambda path, n: idx.read(path)[..., None])
    monkeypatch.setattr(
        module, "_extract_mnist_labels", lambda path, n: idx.read(path).astype(np.int64)
    )
    monkeypatch.setattr(encoder, "_encode_image", lambda self, image: png(image[..., 0]))
    monkeypatch.setattr(
        tfds.download.DownloadManager, "download_and_extract",
        lambda self, urls: {key: tiny / Path(url).name for key, url in urls.items()},
    )  # fmt: skip
    with tfds_source.quiet():
        builder = tfds.builder("mnist", data_dir=tmp_path / "tfds", file_format="array_record")
        builder.download_and_prepare()
    prepared = [
        load("mnist", validation=7),
        load("mnist", validation=7, data_dir=tmp_path / "tfds"),
    ]
    files = load("mnist", validation=7, data_dir=tiny)
    assert {data.fingerprint() for data in prepared} == {files.fingerprint()}


def shapes_builder(tfds, splits, *, shape=(5, 4, 3), keys=("image", "label")):
    """A TFDS data set of PNG images: image i is filled with the value i, its label is i mod 3."""

    class TinyShapes(tfds.core.GeneratorBasedBuilder):
        VERSION = tfds.core.Version("1.0.0")

        def _info(self):
            features = {
                "image": tfds.features.Image(shape=shape),
                "label": tfds.features.ClassLabel(num_classes=4),
            }
            return tfds.core.DatasetInfo(
                builder=self,
                features=tfds.features.FeaturesDict(features),
                supervised_keys=keys,
                disable_shuffling=True,
            )

        def _split_generators(self, dl_manager):
            return {split: self._generate_examples(*span) for split, span in splits.items()}

        def _generate_examples(self, start, stop):
            for i in range(start, stop):
                image = png(np.full((5, 4, 3), i, np.uint8))
                yield i, {"image": image, "label": i % 3}

    return TinyShapes


@pytest.fixture
def prepare(tfds, tmp_path):
    """Prepares tiny_shapes in TFDS's data folder and forgets its code, as for a stranger's data."""

    def run(splits, **kwargs):
        builder = shapes_builder(tfds, splits, **kwargs)(
            data_dir=tmp_path / "tfds", file_format="array_record"
        )
        with tfds_source.quiet():
            builder.download_and_prepare()
        forget(tfds)
        return Path(builder.data_dir)

    yield run
    forget(tfds)


def forget(tfds):
    tfds.core.registered._DATASET_REGISTRY.pop("tiny_shapes", None)


def values(part):
    return part.x[:, 0, 0, 0].tolist()


def test_a_prepared_tfds_set_is_read_by_its_name(prepare, silent):
    prepare({"train": (0, 30), "test": (100, 106)})
    data = load("tiny_shapes")
    assert values(data.valid) == [0, 1, 2]
    assert values(data.train) == list(range(3, 30))
    assert values(data.test) == list(range(100, 106))
    assert data.train.y.tolist() == [i % 3 for i in range(3, 30)]
    assert (data.classes, data.shape, data.train.x.dtype) == (4, (5, 4, 3), np.uint8)
    assert "first 3 of the training split" in data.description


def test_tfds_own_validation_split_is_used_unless_another_size_is_asked(prepare):
    prepare({"train": (0, 20), "validation": (50, 54), "test": (100, 106)})
    assert values(load("tiny_shapes").valid) == [50, 51, 52, 53]
    assert values(load("tiny_shapes").train) == list(range(20))
    assert values(load("tiny_shapes", validation=2).valid) == [0, 1]
    assert values(load("tiny_shapes", limit=5).train) == [0, 1, 2, 3, 4]


def test_a_tfds_validation_split_is_the_test_part_where_there_is_no_test_split(prepare):
    prepare({"train": (0, 20), "validation": (50, 54)})
    data = load("tiny_shapes", limit=5)
    assert values(data.test) == [50, 51, 52, 53]
    assert values(data.valid) == [0, 1]
    assert values(data.train) == [2, 3, 4, 5, 6]
    fails(lambda: load("tiny_shapes", limit=19), "limit=19", "1 to 18")


def test_a_tfds_set_that_needs_no_download_is_prepared_when_it_is_asked_for(tfds, silent):
    shapes_builder(tfds, {"train": (0, 30), "test": (100, 106)})
    try:
        assert values(load("tiny_shapes").train) == list(range(3, 30))
    finally:
        forget(tfds)


def test_a_tfds_set_that_cannot_be_prepared_says_why_and_what_to_run(tfds, silent):
    shapes_builder(tfds, {"train": (0, 0)})
    try:
        fails(
            lambda: load("tiny_shapes"), "could not prepare tiny_shapes", "No examples",
            "tfds build tiny_shapes --file_format=array_record",
        )  # fmt: skip
    finally:
        forget(tfds)


def test_a_set_prepared_without_random_access_says_how_to_prepare_it(prepare):
    folder = prepare({"train": (0, 30), "test": (100, 106)})
    info = json.loads((folder / "dataset_info.json").read_text())
    info["fileFormat"] = "tfrecord"
    (folder / "dataset_info.json").write_text(json.dumps(info))
    fails(lambda: load("tiny_shapes"), folder, "tfrecord", "--file_format=array_record")


def test_a_tfds_set_without_held_out_data_is_refused(prepare):
    prepare({"train": (0, 30)})
    fails(lambda: load("tiny_shapes"), "the splits train", "from_arrays")


def test_a_tfds_set_without_equal_sized_labelled_arrays_is_refused(tfds, silent):
    fails(lambda: load("imdb_reviews"), "'text'", "shape ()")
    fails(lambda: load("imagenet2012"), "(None, None, 3)", "equal size")
    fails(lambda: load("lambada"), "passage", "labelled images")


def test_an_archive_that_only_tensorflow_unpacks_says_so_before_downloading(tfds, silent):
    fails(
        lambda: load("cifar10"), "cifar10 is not prepared", "needs TensorFlow", "tfds build cifar10"
    )


@pytest.mark.parametrize("name", ["mnsit", "Mnist", "huggingface:mnist", "../mnist", "no_such", ""])
def test_an_unknown_name_is_answered_with_the_known_ones(tfds, silent, name):
    fails(lambda: load(name), f"unknown data set {name!r}", "digits, fashion_mnist, kmnist, mnist")


def test_a_misspelt_name_is_answered_with_the_nearest(tfds):
    fails(lambda: load("fashon_mnist"), "did you mean 'fashion_mnist'?")
    fails(lambda: load("emnist/nope"), "'emnist/nope'", "after the slash")


def test_the_checksums_are_those_tfds_registers(tfds):
    for name, sums in originals.ORIGINALS.items():
        with tfds_source.quiet():
            infos = tfds.builder(name).url_infos.values()
        assert {info.filename: info.checksum for info in infos} == sums
