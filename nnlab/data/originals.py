"""MNIST and its relatives from their four original files, each recognised by its SHA-256.

Sources: LeCun, Cortes & Burges (MNIST); Xiao, Rasul & Vollgraf, arXiv:1708.07747 (Fashion-MNIST);
Clanuwat et al., arXiv:1812.01718 (Kuzushiji-MNIST).  The checksums are those TFDS registers.
"""

import hashlib
from collections.abc import Mapping
from pathlib import Path

from nnlab.data import idx
from nnlab.data.arrays import checked
from nnlab.data.dataset import Split
from nnlab.errors import UsageError

TRAIN_X, TRAIN_Y = "train-images-idx3-ubyte.gz", "train-labels-idx1-ubyte.gz"
TEST_X, TEST_Y = "t10k-images-idx3-ubyte.gz", "t10k-labels-idx1-ubyte.gz"
FILES = (TRAIN_X, TRAIN_Y, TEST_X, TEST_Y)

ORIGINALS: dict[str, dict[str, str]] = {
    "mnist": {
        TRAIN_X: "440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609",
        TRAIN_Y: "3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c",
        TEST_X: "8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6",
        TEST_Y: "f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6",
    },
    "fashion_mnist": {
        TRAIN_X: "3aede38d61863908ad78613f6a32ed271626dd12800ba2636569512369268a84",
        TRAIN_Y: "a04f17134ac03560a47e3764e11b92fc97de4d1bfaf8ba1a3aa29af54cc90845",
        TEST_X: "346e55b948d973a97e58d2351dde16a484bd415d4595297633bb08f03db6a073",
        TEST_Y: "67da17c76eaffca5446c3361aaab5c3cd6d1c2608764d35dfb1850b086bf8dd5",
    },
    "kmnist": {
        TRAIN_X: "51467d22d8cc72929e2a028a0428f2086b092bb31cfb79c69cc0a90ce135fde4",
        TRAIN_Y: "e38f9ebcd0f3ebcdec7fc8eabdcdaef93bb0df8ea12bee65224341c8183d8e17",
        TEST_X: "edd7a857845ad6bb1d0ba43fe7e794d164fe2dce499a1694695a792adfac43c5",
        TEST_Y: "20bb9a0ef54c7db3efc55a92eef5582c109615df22683c380526788f98e42a1c",
    },
}


def find(name: str, folder: Path) -> dict[str, Path] | None:
    """The four files in `folder`/`name` or in `folder`; None where neither has any of them.

    Raises UsageError when some of the four are there and others are not.
    """
    for place in (folder / name, folder):
        paths = {file: place / file for file in FILES}
        missing = [path for path in paths.values() if not path.is_file()]
        if not missing:
            return paths
        if len(missing) < len(paths):
            raise UsageError(
                f"{missing[0]} is missing; {name} needs its four original files in one folder; "
                "copy or download this one too"
            )
    return None


def read(name: str, paths: Mapping[str, Path]) -> tuple[Split, Split]:
    """The training and test examples, images [n, height, width, 1] in the files' order.

    Raises UsageError for a file whose SHA-256 is not the original's.
    """
    for file, path in paths.items():
        _verify(name, file, path)
    x, y, test_x, test_y = (idx.read(paths[file]) for file in FILES)
    return checked(x[..., None], y), checked(test_x[..., None], test_y, word="test ")


def _verify(name: str, file: str, path: Path) -> None:
    try:
        with path.open("rb") as stream:
            came = hashlib.file_digest(stream, "sha256").hexdigest()
    except OSError as error:
        raise UsageError(
            f"cannot read {path} ({error.strerror}); {name} needs it; check its permissions"
        ) from error
    needed = ORIGINALS[name][file]
    if came != needed:
        owner = next((other for other, sums in ORIGINALS.items() if came in sums.values()), None)
        raise UsageError(
            f"{path} has SHA-256 {came[:12]}… "
            + (f"(it belongs to {owner}) " if owner else "")
            + f"and {path.stat().st_size:,} bytes; the {name} original has {needed[:12]}…; "
            "copy or download it again"
        )
