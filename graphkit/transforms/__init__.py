"""Graph to graph: loops, reverse edges, features, positional and structural encodings."""

from graphkit.transforms.edges import AddReverseEdges, AddSelfLoops, Compose, RemoveSelfLoops
from graphkit.transforms.encodings import LaplacianPE, RandomWalkSE
from graphkit.transforms.features import DegreeFeatures, NormalizeFeatures, WeightFeatures

__all__ = [
    "AddReverseEdges",
    "AddSelfLoops",
    "Compose",
    "DegreeFeatures",
    "LaplacianPE",
    "NormalizeFeatures",
    "RandomWalkSE",
    "RemoveSelfLoops",
    "WeightFeatures",
]
