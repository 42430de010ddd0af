"""Results -> figures, tables, pages; the only place with matplotlib, loaded when first used."""

from nnlab.report.cautions import cautions
from nnlab.report.differences import against, differences
from nnlab.report.figures import heatmap, learning_curves, plot, response
from nnlab.report.layers import layer_histograms
from nnlab.report.page import write
from nnlab.report.search import best_trials, trial_curves, trial_knobs
from nnlab.report.search_page import write_search
from nnlab.report.table import configs, headline, leaders, ranking

__all__ = [
    "against",
    "best_trials",
    "cautions",
    "configs",
    "differences",
    "headline",
    "heatmap",
    "layer_histograms",
    "leaders",
    "learning_curves",
    "plot",
    "ranking",
    "response",
    "trial_curves",
    "trial_knobs",
    "write",
    "write_search",
]
