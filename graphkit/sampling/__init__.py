"""From a Dataset to batches: everything at once, neighbour blocks, sets of graphs, pairs with negatives, walks."""

from graphkit.sampling import negatives, rivals
from graphkit.sampling.balls import distance_counts
from graphkit.sampling.blocks import block_batch, in_edges, induced, sample_block
from graphkit.sampling.cooccurrence import cooccurrence_counts
from graphkit.sampling.counters import OnlineCounters
from graphkit.sampling.enclosing import EnclosingSubgraphs, enclosing_subgraphs
from graphkit.sampling.feedback import Feedback, FeedbackLoader
from graphkit.sampling.graphs import GraphLoader
from graphkit.sampling.index import EdgeIndex
from graphkit.sampling.link import LinkLoader
from graphkit.sampling.loader import Loader
from graphkit.sampling.metis import metis
from graphkit.sampling.named import node_loader
from graphkit.sampling.neighbor import NeighborLoader
from graphkit.sampling.partition import Part, partition
from graphkit.sampling.parts import ClusterLoader, Saint, SaintLoader
from graphkit.sampling.shadow import Scope, ShadowLoader, approx_ppr
from graphkit.sampling.store import Store, full_batch
from graphkit.sampling.stream import Stream
from graphkit.sampling.tbatch import TBatches, t_batches, tbatch_loss
from graphkit.sampling.temporal import Events, TemporalNeighbors, TemporalSampler, events_of
from graphkit.sampling.temporal_negatives import StreamNegatives
from graphkit.sampling.walks import node2vec_walks, random_walks, step_distribution, transition_matrix

__all__ = [
    "ClusterLoader",
    "EdgeIndex",
    "EnclosingSubgraphs",
    "Events",
    "Feedback",
    "FeedbackLoader",
    "GraphLoader",
    "LinkLoader",
    "Loader",
    "NeighborLoader",
    "OnlineCounters",
    "Part",
    "Saint",
    "SaintLoader",
    "Scope",
    "ShadowLoader",
    "Store",
    "Stream",
    "StreamNegatives",
    "TBatches",
    "TemporalNeighbors",
    "TemporalSampler",
    "approx_ppr",
    "block_batch",
    "cooccurrence_counts",
    "distance_counts",
    "enclosing_subgraphs",
    "events_of",
    "full_batch",
    "in_edges",
    "induced",
    "metis",
    "negatives",
    "node2vec_walks",
    "node_loader",
    "partition",
    "random_walks",
    "rivals",
    "sample_block",
    "step_distribution",
    "t_batches",
    "tbatch_loss",
    "transition_matrix",
]
