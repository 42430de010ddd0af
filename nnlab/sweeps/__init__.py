"""Sweeps: axes, grids, running, storing, results.

The names below are loaded when they are first used: results need xarray and pandas, training not.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from nnlab.sweeps.axes import DEFAULTS, log_space
    from nnlab.sweeps.choices import Choice
    from nnlab.sweeps.ensembles import ensemble
    from nnlab.sweeps.progress import Status
    from nnlab.sweeps.record import Snapshot
    from nnlab.sweeps.results import Results
    from nnlab.sweeps.sweep import Summary, Sweep, load

PLACES = {
    "DEFAULTS": "axes",
    "Choice": "choices",
    "Results": "results",
    "Snapshot": "record",
    "Status": "progress",
    "Summary": "sweep",
    "Sweep": "sweep",
    "ensemble": "ensembles",
    "load": "sweep",
    "log_space": "axes",
}

__all__ = [
    "DEFAULTS",
    "Choice",
    "Results",
    "Snapshot",
    "Status",
    "Summary",
    "Sweep",
    "ensemble",
    "load",
    "log_space",
]


def __getattr__(name: str) -> Any:
    if name in PLACES:
        return getattr(import_module(f"{__name__}.{PLACES[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
