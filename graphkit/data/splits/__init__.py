"""How a dataset is divided: registered protocols for nodes, graphs, links and triples."""

from graphkit.data.splits.drugs import unseen_drugs
from graphkit.data.splits.links import LinkSplit, TripleSplit, random_link
from graphkit.data.splits.paired import paired
from graphkit.data.splits.published import benchmarking_gnns, fair_comparison, fair_comparison_constant
from graphkit.data.splits.ranking import per_user
from graphkit.data.splits.rows import check_parts, folds, geom_gcn, public, random, random_per_class, stratified10
from graphkit.data.splits.scaffold import scaffold
from graphkit.data.splits.time import time, windows

__all__ = [
    "LinkSplit",
    "TripleSplit",
    "benchmarking_gnns",
    "check_parts",
    "fair_comparison",
    "fair_comparison_constant",
    "folds",
    "geom_gcn",
    "paired",
    "per_user",
    "public",
    "random",
    "random_link",
    "random_per_class",
    "scaffold",
    "stratified10",
    "time",
    "unseen_drugs",
    "windows",
]
