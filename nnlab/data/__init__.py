"""Data sets: by name, or from a pair of NumPy arrays.

load, DATASETS       data sets by name, from files, TFDS or scikit-learn
from_arrays          your own arrays
nothing              no data, for a loss that reads none
Dataset, Split       what both return
excerpt, epochs_for  the first examples of a set, and how many epochs hold so many steps
folder_with          where files of another problem lie
SCALINGS             how raw values become network input
"""

from nnlab.data.arrays import from_arrays, nothing
from nnlab.data.dataset import Dataset, Split
from nnlab.data.excerpt import epochs_for, excerpt
from nnlab.data.folders import folder_with
from nnlab.data.load import DATASETS, load
from nnlab.data.scaling import SCALINGS

__all__ = [
    "DATASETS",
    "SCALINGS",
    "Dataset",
    "Split",
    "epochs_for",
    "excerpt",
    "folder_with",
    "from_arrays",
    "load",
    "nothing",
]
