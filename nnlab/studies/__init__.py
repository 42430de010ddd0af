"""What a study adds to a sweep: claims and verdicts, numbers that others published, paths on
surfaces, and every choice confirmed by seeds that did not choose it.
"""

from nnlab.studies.comparison import beside
from nnlab.studies.confirm import confirm
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
    "confirm",
    "loss_map",
    "paths",
    "verdict_table",
]
