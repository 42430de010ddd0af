"""nnlab: thousands of labelled training runs in one compiled program.

Importing nnlab loads nothing heavy and starts no device; each name below is loaded when it is
first used.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from nnlab import data, lanes, models, nn, optim, report, train
    from nnlab.errors import UsageError
    from nnlab.lanes.devices import prepare as use_all_cores
    from nnlab.report.figures import plot
    from nnlab.sweeps.axes import log_space
    from nnlab.sweeps.ensembles import ensemble
    from nnlab.sweeps.results import Results
    from nnlab.sweeps.search import Range, search
    from nnlab.sweeps.sweep import Sweep, load

PACKAGES = ("data", "lanes", "models", "nn", "optim", "report", "sweeps", "train")
PLACES = {
    "Range": "nnlab.sweeps.search",
    "Results": "nnlab.sweeps.results",
    "Sweep": "nnlab.sweeps.sweep",
    "UsageError": "nnlab.errors",
    "ensemble": "nnlab.sweeps.ensembles",
    "load": "nnlab.sweeps.sweep",
    "log_space": "nnlab.sweeps.axes",
    "plot": "nnlab.report.figures",
    "search": "nnlab.sweeps.search",
    "use_all_cores": "nnlab.lanes.devices:prepare",
}

__all__ = [
    "Range",
    "Results",
    "Sweep",
    "UsageError",
    "data",
    "ensemble",
    "lanes",
    "load",
    "log_space",
    "models",
    "nn",
    "optim",
    "plot",
    "report",
    "search",
    "train",
    "use_all_cores",
]


def __getattr__(name: str) -> Any:
    if name in PACKAGES:
        return import_module(f"nnlab.{name}")
    if name in PLACES:
        module, _, attribute = PLACES[name].partition(":")
        return getattr(import_module(module), attribute or name)
    raise AttributeError(f"module 'nnlab' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
