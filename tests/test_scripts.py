"""Every script runs at toy size, keeps figures and verdicts, and has its place in the gallery."""

import ast
import importlib.util
import re
from pathlib import Path
from types import ModuleType

import pytest
import typer

from nnlab.errors import UsageError
from nnlab.studies import verdicts

SCRIPTS = Path(__file__).parents[1] / "scripts"
ALL = sorted(path.stem for path in SCRIPTS.glob("*.py"))
COMPARED = [
    "activation_comparison",
    "batch_norm_scales",
    "dropout_overfit",
    "hyperparameter_search",
    "init_comparison",
    "optimizer_comparison",
    "weight_decay_overfit",
]


def script(name: str) -> ModuleType:
    """A script as a module."""
    spec = importlib.util.spec_from_file_location(f"scripts_{name}", SCRIPTS / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("name", COMPARED)
def test_a_study_keeps_figures_a_table_and_its_verdicts(name, tmp_path, capsys):
    script(name).main(tmp_path, data="digits", seeds=2, fast=True)
    found = verdicts.read(tmp_path)
    printed = re.sub(r"[│\s]+", " ", capsys.readouterr().out)
    assert found
    for verdict in found:
        assert verdict.claim.split()[0] in printed
        assert re.search(r"\d", verdict.ours)
        assert verdict.why
    assert list(tmp_path.glob("*.png"))
    assert list(tmp_path.glob("*.csv"))


def test_the_demo_answers_and_writes_a_report(tmp_path, capsys):
    script("demo").main(tmp_path / "demo", fast=True)
    printed = capsys.readouterr().out
    assert "is best on validation data" in printed
    assert printed.count("sigmoid with std 1 is") == 4
    assert (tmp_path / "demo" / "report" / "index.html").exists()
    assert len(verdicts.read(tmp_path / "demo")) == 4


# The runner --------------------------------------------------------------------------------------

GOOD = """
import sys
from pathlib import Path
from nnlab.studies import Verdict
from nnlab.studies.verdicts import keep
def main(out, data: str = "digits"): ...
keep([Verdict("it holds", "1", "1.0 (0.9 to 1.1)", True)], Path(sys.argv[2]))
"""


@pytest.fixture
def studies(tmp_path, monkeypatch):
    """The runner over two toy scripts, one of which crashes."""
    (tmp_path / "good.py").write_text(GOOD)
    (tmp_path / "bad.py").write_text("print(sys.argv)")
    runner = script("studies")
    monkeypatch.setattr(runner, "FOLDER", tmp_path)
    monkeypatch.setattr(runner, "STUDIES", ["bad", "good"])
    monkeypatch.setenv("COLUMNS", "200")
    return runner


def test_a_script_that_crashes_is_a_failing_row_and_not_the_end(studies, tmp_path, capsys):
    with pytest.raises(typer.Exit) as ended:
        studies.main(tmp_path / "out", fast=True)
    assert ended.value.exit_code == 1
    printed = capsys.readouterr().out
    assert "FAILS: NameError: name 'sys' is not defined" in printed
    assert "1.0 (0.9 to 1.1)" in printed
    assert printed.count(" min ") == 2
    bad, good = (tmp_path / "out" / "studies.md").read_text().splitlines()[2:]
    assert re.match(r"\| bad, 0\.\d min \| the script runs to its end \|", bad)
    assert good.endswith("| it holds | 1 | 1.0 (0.9 to 1.1) | holds |")
    assert "NameError" in (tmp_path / "out" / "bad" / "printed.txt").read_text()


def test_a_study_whose_files_are_not_here_is_a_failing_row_and_no_crash(studies, tmp_path, capsys):
    (tmp_path / "bad.py").write_text("import sys\nprint('no file', file=sys.stderr)\nsys.exit(2)")
    studies.main(tmp_path / "out")
    assert "it can run here" in (printed := capsys.readouterr().out)
    assert "FAILS: no file" in printed


def test_data_in_place_of_mnist_go_to_the_scripts_that_read_mnist():
    runner = script("studies")
    assert {name for name in runner.STUDIES if runner.reads_mnist(name)} == {
        "batch_norm_scales", "dropout_overfit", "hyperparameter_search", "init_comparison",
        "mnist_ladder", "optimizer_comparison", "weight_decay_overfit",
    }  # fmt: skip


def test_only_the_studies_named_are_run(studies, tmp_path, capsys):
    studies.main(tmp_path / "out", only="good")
    assert "bad" not in capsys.readouterr().out
    with pytest.raises(UsageError, match="did you mean 'good'"):
        studies.main(tmp_path / "out", only="goood")


# The gallery -------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ALL)
def test_a_script_says_question_source_expectation_time_and_command(name):
    text = ast.get_docstring(ast.parse((SCRIPTS / f"{name}.py").read_text())) or ""
    assert text.splitlines()[0].endswith("?")
    assert re.search(rf"minutes? on 2 cores\.\s+python scripts/{name}\.py", text)
    if name in COMPARED:
        assert "Source: " in text
        assert "Expected: " in text


def test_every_script_is_in_the_gallery_with_a_sentence_and_its_command():
    page = (SCRIPTS / "README.md").read_text()
    for name in ALL:
        assert f"python scripts/{name}.py" in page


def test_the_gallery_shows_every_picture_and_pictures_are_small():
    shown = set(re.findall(r"\]\((figures/[^)]+)\)", (SCRIPTS / "README.md").read_text()))
    kept = {f"figures/{path.name}" for path in (SCRIPTS / "figures").iterdir()}
    assert shown == kept
    for path in shown:
        assert (SCRIPTS / path).stat().st_size < 150_000
