"""Results -> figures, tables, pages; the only place with matplotlib, loaded when first used."""

from nnlab.report.cautions import cautions
from nnlab.report.comparison import beside
from nnlab.report.differences import against, differences
from nnlab.report.figures import heatmap, learning_curves, plot, response
from nnlab.report.layers import layer_histograms
from nnlab.report.maps import behaviour_map, loss_map
from nnlab.report.page import write
from nnlab.report.paths import by_family, paths
from nnlab.report.search import best_trials, trial_curves, trial_knobs, write_search
from nnlab.report.table import configs, headline, leaders, ranking
from nnlab.report.verdicts import Verdict, verdict_table

__all__ = [
    "Verdict",
    "against",
    "behaviour_map",
    "beside",
    "best_trials",
    "by_family",
    "cautions",
    "configs",
    "differences",
    "headline",
    "heatmap",
    "layer_histograms",
    "leaders",
    "learning_curves",
    "loss_map",
    "paths",
    "plot",
    "ranking",
    "response",
    "trial_curves",
    "trial_knobs",
    "verdict_table",
    "write",
    "write_search",
]
