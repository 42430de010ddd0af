"""One readable page for a random search: the winner, the reasons to doubt it, trials, figures."""

import csv
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from nnlab.files import writing_into
from nnlab.report import html
from nnlab.report.cautions import cautions
from nnlab.report.folder import is_page, refusal, refuse_foreign
from nnlab.report.page import READING, settings
from nnlab.report.search import best_trials, trial_curves, trial_knobs
from nnlab.report.style import capital, number, text, texts, words
from nnlab.report.table import shown_metric, spoken
from nnlab.sweeps.labels import label
from nnlab.sweeps.results import Results
from nnlab.sweeps.search import Search
from nnlab.sweeps.space import Range

PAGE, TRIALS = "index.html", "trials.csv"
ROWS = 20


def write_search(search: Search, directory: Path, final: Results | None = None) -> list[Path]:
    """Write index.html (figures inside), trials.csv, curves.png and knobs.png.

    `final` is what `Search.final` found: with it the page says how well the winner does on test
    data. UsageError if the folder cannot be written, or holds files and nothing that nnlab made.
    """
    trials = best_trials(search)
    with writing_into(directory):
        refuse_other_search(directory, list(trials.columns))
    pictures = {
        "curves": ("The best trials by epoch", html.png(trial_curves(search))),
        "knobs": ("Every trial by each knob", html.png(trial_knobs(search))),
    }
    with writing_into(directory):
        directory.mkdir(parents=True, exist_ok=True)
        trials.to_csv(directory / TRIALS, index=False)
        for name, (_, data) in pictures.items():
            (directory / f"{name}.png").write_bytes(data)
        parts = [*_words(search, final), *(html.picture(k, *v) for k, v in pictures.items())]
        parts += ["<h2>Settings</h2>", settings(search.stages[0] if final is None else final)]
        parts += ["<h2>How to read this</h2>", f"<p>{READING}</p>"]
        page = html.document(_title(search), parts)
        (directory / PAGE).write_text(page, encoding="utf-8")
    return [directory / name for name in (PAGE, TRIALS, *(f"{name}.png" for name in pictures))]


def refuse_other_search(directory: Path, columns: list[str]) -> None:
    """Raises UsageError where a trials.csv has other columns, or no file shows it is nnlab's."""
    page, trials = directory / PAGE, directory / TRIALS
    if page.exists() and not is_page(page):
        raise refusal(directory, [PAGE])
    if not trials.is_file():
        refuse_foreign(directory)
        return
    with trials.open(newline="", encoding="utf-8", errors="replace") as file:
        if next(csv.reader(file), []) != columns:
            raise refusal(directory, [TRIALS])


def winner(search: Search, final: Results | None = None) -> str:
    """The best config in one or two sentences."""
    if not search.trials[0].learned:
        return "No config learned: there is no best one."
    knobs = ", ".join(f"{words(k)} {text(label(v))}" for k, v in search.best.items())
    stages = f" in {len(search.stages)} stages" * (len(search.stages) > 1)
    score = number(search.trials[0].value, search.metric)
    sentence = f"Best of {len(search.trials):,} configs{stages}: {knobs}. "
    sentence += f"{capital(words(search.metric))} {score}."
    return sentence if final is None else f"{sentence} {capital(tested(final))}."


def tested(final: Results) -> str:
    """The winner's test score with its interval, from seeds that nobody chose by."""
    metric = shown_metric(final)
    mean = final.mean(metric)
    n = int(mean["n"])
    seeds = f"{n} fresh seeds, 95 % interval" if n > 1 else "one fresh seed, no interval"
    return f"{words(metric)} of the best: {spoken(mean, metric)}, {seeds}"


def _title(search: Search) -> str:
    return f"Random search on {search.stages[0].dataset.attrs.get('data', 'unnamed data')}"


def _words(search: Search, final: Results | None) -> Iterator[str]:
    """What the page says before its figures."""
    yield html.answer(winner(search, final))
    doubts = [f"{capital(line)}." for line in search.warnings()]
    yield html.doubts(doubts + (cautions(final) if final is not None else []))
    yield "<h2>What was searched</h2>"
    stages = range(1, len(search.spaces) + 1)
    rows = [[words(k), *(_values(space[k]) for space in search.spaces)] for k in search.spaces[0]]
    yield html.table(["knob", *(f"stage {n}" for n in stages)], rows)
    drawn = ", ".join(f"{stage.dataset.sizes['config']:,}" for stage in search.stages)
    seeds = search.stages[0].dataset.sizes["seed"]
    yield (
        f"<p>Configs drawn: {drawn}. Each is judged by {seeds} seed{'s' * (seeds > 1)}; every one "
        f"is in <a href='{TRIALS}'>{TRIALS}</a>.</p>"
    )
    yield "<h2>The best trials</h2>"
    best = best_trials(search, ROWS)
    best[search.metric] = [number(value, search.metric) for value in best[search.metric]]
    columns = (texts(best[name].tolist()) for name in best.columns)
    yield html.table([words(name) for name in best.columns], list(zip(*columns, strict=True)))
    yield "<h2>Figures</h2>"


def _values(space: Range | list[Any]) -> str:
    """What a knob may be: a range, or a list of choices."""
    if isinstance(space, Range):
        return f"{text(space.low)} to {text(space.high)}{', linear' * (not space.log)}"
    return ", ".join(text(label(value)) for value in space)
