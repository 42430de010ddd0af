"""nnlab: thousands of labelled training runs in one compiled program.

Importing nnlab loads nothing heavy and starts no device; each name below is loaded when it is
first used.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from nnlab import data, lanes, models, nn, optim, parity, report, studies, sweeps, train
    from nnlab.errors import UsageError
    from nnlab.lanes.devices import prepare as use_all_cores
    from nnlab.report.figures import plot
    from nnlab.sweeps.axes import log_space
    from nnlab.sweeps.confirm import confirm
    from nnlab.sweeps.ensembles import ensemble
    from nnlab.sweeps.join import join
    from nnlab.sweeps.results import Results
    from nnlab.sweeps.search import search
    from nnlab.sweeps.space import Range
    from nnlab.sweeps.sweep import Sweep, load

PLACES = {
    "Range": "sweeps.space",
    "Results": "sweeps.results",
    "Sweep": "sweeps.sweep",
    "UsageError": "errors",
    "confirm": "sweeps.confirm",
    "ensemble": "sweeps.ensembles",
    "join": "sweeps.join",
    "load": "sweeps.sweep",
    "log_space": "sweeps.axes",
    "plot": "report.figures",
    "search": "sweeps.search",
    "use_all_cores": "lanes.devices:prepare",
}
"""Where names are that are not rooms: in a module, under the same name unless another is given."""

__all__ = [
    "Range",
    "Results",
    "Sweep",
    "UsageError",
    "confirm",
    "data",
    "ensemble",
    "join",
    "lanes",
    "load",
    "log_space",
    "models",
    "nn",
    "optim",
    "parity",
    "plot",
    "report",
    "search",
    "studies",
    "sweeps",
    "train",
    "use_all_cores",
]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module 'nnlab' has no attribute {name!r}")
    module, _, attribute = PLACES.get(name, name).partition(":")
    found = import_module(f"nnlab.{module}")
    return getattr(found, attribute or name) if name in PLACES else found


def __dir__() -> list[str]:
    return sorted(__all__)
