"""Results -> figures, tables, pages; the only place with matplotlib, loaded when first used."""

from nnlab.report.cautions import cautions
from nnlab.report.figures import heatmap, learning_curves, plot, response
from nnlab.report.maps import behaviour_map, loss_map
from nnlab.report.page import write
from nnlab.report.paths import paths
from nnlab.report.table import configs, headline, leaders, ranking
from nnlab.report.verdicts import Verdict, verdict_table

__all__ = [
    "Verdict",
    "behaviour_map",
    "cautions",
    "configs",
    "headline",
    "heatmap",
    "leaders",
    "learning_curves",
    "loss_map",
    "paths",
    "plot",
    "ranking",
    "response",
    "verdict_table",
    "write",
]
