"""One run: what it trains, how it is started, stepped, measured and recorded."""

from nnlab.train.keys import Stream, root, stream
from nnlab.train.loop import Data, Plan, Record, State, train, train_run
from nnlab.train.task import Rule, Task, classification, regression, rule

__all__ = [
    "Data",
    "Plan",
    "Record",
    "Rule",
    "State",
    "Stream",
    "Task",
    "classification",
    "regression",
    "root",
    "rule",
    "stream",
    "train",
    "train_run",
]
