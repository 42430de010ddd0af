"""Results -> figures, tables, pages; the only place with matplotlib, loaded when first used."""

from nnlab.report.cautions import cautions
from nnlab.report.comparison import beside
from nnlab.report.figures import heatmap, learning_curves, plot, response
from nnlab.report.layers import layer_histograms
from nnlab.report.page import write
from nnlab.report.table import configs, headline, leaders, ranking
from nnlab.report.verdicts import Verdict, verdict_table

__all__ = [
    "Verdict",
    "beside",
    "cautions",
    "configs",
    "headline",
    "heatmap",
    "layer_histograms",
    "leaders",
    "learning_curves",
    "plot",
    "ranking",
    "response",
    "verdict_table",
    "write",
]
