"""What a study adds to a sweep: claims and verdicts, numbers that others published, paths on
surfaces.
"""

from nnlab.studies.comparison import beside
from nnlab.studies.maps import behaviour_map, loss_map
from nnlab.studies.paths import by_family, paths
from nnlab.studies.surfaces import SURFACES
from nnlab.studies.verdicts import Verdict, verdict_table

__all__ = [
    "SURFACES",
    "Verdict",
    "behaviour_map",
    "beside",
    "by_family",
    "loss_map",
    "paths",
    "verdict_table",
]
