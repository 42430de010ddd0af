"""Sweeps: axes, grids, running, storing, results."""

from nnlab.sweeps.axes import DEFAULTS, log_space
from nnlab.sweeps.choices import Choice
from nnlab.sweeps.ensembles import ensemble
from nnlab.sweeps.progress import Status
from nnlab.sweeps.record import Snapshot
from nnlab.sweeps.results import Results
from nnlab.sweeps.sweep import Summary, Sweep, load

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
