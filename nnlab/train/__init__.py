"""One run: what it trains, how it is started, stepped, measured and recorded."""

from nnlab.train.keys import Stream, root, stream
from nnlab.train.loop import Data, Plan, Record, State, Trainer, train, train_run
from nnlab.train.task import Moment, Rule, Task, minimise, rule, supervised

__all__ = [
    "Data",
    "Moment",
    "Plan",
    "Record",
    "Rule",
    "State",
    "Stream",
    "Task",
    "Trainer",
    "minimise",
    "root",
    "rule",
    "stream",
    "supervised",
    "train",
    "train_run",
]
