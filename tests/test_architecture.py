"""The house rules: arrows point down, importing is light, the README's example runs."""

import ast
import re
import subprocess
import sys
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "nnlab"
LAYERS = (
    {"cli"},
    {"studies"},
    {"report"},
    {"sweeps"},
    {"lanes"},
    {"train", "parity"},
    {"models", "optim", "data"},
    {"nn"},
    {"trees", "types", "files"},
    {"errors"},
)
"""From the top down; a layer may import those below it, its members not one another."""
HEIGHT = {name: -i for i, names in enumerate(LAYERS) for name in names}
FILES = sorted(path for path in PACKAGE.rglob("*.py") if path.parent != PACKAGE) + [
    PACKAGE / f"{name}.py" for name in ("errors", "files", "trees", "types")
]


def room(module: str) -> str:
    """The part of the house a module belongs to: nnlab.lanes.lift is in lanes."""
    return [*module.split("."), ""][1]


def imports(path: Path) -> set[str]:
    """The nnlab modules a file imports, wherever in the file."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names = {f"{node.module}.{alias.name}" for alias in node.names}
            found |= names if node.module == "nnlab" else {node.module}
    return {name for name in found if name == "nnlab" or name.startswith("nnlab.")}


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_arrows_point_down(path):
    here = path.relative_to(PACKAGE).parts[0].removesuffix(".py")
    for module in imports(path):
        there = room(module)
        assert there in HEIGHT, f"{path.name} imports the facade {module!r}"
        assert there == here or HEIGHT[there] < HEIGHT[here], f"{here} must not import {there}"


def test_the_proof_of_the_optimizers_knows_nothing_but_them():
    found = {
        room(module) for path in (PACKAGE / "parity").rglob("*.py") for module in imports(path)
    }
    assert found == {"parity", "optim", "trees", "types", "errors"}


def test_every_room_has_a_layer():
    rooms = {p.name.removesuffix(".py") for p in PACKAGE.iterdir() if p.suffix in {"", ".py"}}
    assert rooms - {"__init__", "__main__", "__pycache__"} == set(HEIGHT)


def test_files_can_be_held_in_the_head():
    rooms = ("nnlab", "scripts", "benchmarks")
    files = [path for name in rooms for path in (ROOT / name).rglob("*.py")]
    lengths = {path: len(path.read_text().splitlines()) for path in files}
    assert not {str(p.relative_to(ROOT)): n for p, n in lengths.items() if n > 400}


def run(code: str) -> str:
    return subprocess.run(
        [sys.executable, "-c", code], check=True, capture_output=True, text=True
    ).stdout


def test_importing_nnlab_loads_nothing_heavy_and_starts_no_device():
    code = """
import sys, nnlab
heavy = {"matplotlib", "tensorflow_datasets", "sklearn", "xarray", "pandas"} & set(sys.modules)
assert not heavy, heavy
nnlab.Sweep, nnlab.optim, nnlab.nn, nnlab.models, nnlab.data
assert "matplotlib" not in sys.modules and "tensorflow_datasets" not in sys.modules
import jax
jax.config.update("jax_num_cpu_devices", 3)  # raises once a device has started
assert jax.device_count() == 3
"""
    run(code)


def test_the_shell_loads_nothing_heavy_before_it_has_something_to_do():
    code = """
import sys, nnlab.cli.app
heavy = {"jax", "xarray", "pandas", "scipy", "matplotlib", "tensorflow_datasets"} & set(sys.modules)
assert not heavy, heavy
"""
    run(code)


def test_importing_nnlab_takes_less_than_one_and_a_half_times_importing_jax():
    def seconds(module: str) -> float:
        began = time.perf_counter()
        run(f"import {module}")
        return time.perf_counter() - began

    pairs = [(seconds("nnlab"), seconds("jax")) for _ in range(3)]
    assert min(ours / jax for ours, jax in pairs) < 1.5


def test_every_public_name_of_the_facade_can_be_used():
    import nnlab

    for name in nnlab.__all__:
        assert getattr(nnlab, name) is not None
    rooms = {path.name for path in PACKAGE.iterdir() if (path / "__init__.py").exists()}
    assert rooms - {"cli"} <= set(nnlab.__all__)


def python_examples() -> list[str]:
    return re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)


def test_the_readme_has_an_example_that_runs(tmp_path):
    (example, *_) = python_examples()
    subprocess.run([sys.executable, "-c", example], check=True, cwd=tmp_path, timeout=300)
    assert list(tmp_path.glob("*.png"))
