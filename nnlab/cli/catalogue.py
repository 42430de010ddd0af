"""What `nnlab list` lists: every name with the first sentence of its docstring."""

import inspect
from collections.abc import Callable, Iterator

from nnlab.data import DATASETS
from nnlab.sweeps.choices import TABLES, hyperparameters

Entry = tuple[str, str, str]
"""Name, arguments, what it is."""
Entries = Callable[[], Iterator[Entry]]


def functions(kind: str) -> Entries:
    """The entries of a table of functions."""

    def entries() -> Iterator[Entry]:
        for name, function in sorted(TABLES[kind].items()):
            arguments = [
                argument.name
                for argument in hyperparameters(function, kind).values()
                if argument.name != "learning_rate"
            ]
            yield name, ", ".join(arguments), (inspect.getdoc(function) or "").partition("\n")[0]

    return entries


CATALOGUE: dict[str, Entries] = {
    "init": functions("init"),
    "activation": functions("activation"),
    "loss": functions("loss"),
    "metric": functions("metric"),
    "optimizer": functions("optimizer"),
    "transform": functions("transform"),
    "schedule": functions("schedule"),
    "data": lambda: ((name, "", line) for name, line in DATASETS.items()),
}
