"""Measures of graphs: graphlets and their orbits, topological concentration, colours, homophily."""

from graphkit.analysis.closure import OpenTriangles, closure_table, higher_order_links, open_triangles
from graphkit.analysis.closure_scores import triangle_features, triangle_scores
from graphkit.analysis.concentration import approximate_concentration, covered, topological_concentration
from graphkit.analysis.graphlets import (
    graphlet_adjacency,
    graphlet_degree_vectors,
    orbit_adjacencies,
)
from graphkit.analysis.motifs import motif_degrees, motif_refine
from graphkit.analysis.per_node import node_link_metrics
from graphkit.analysis.pmi import pmi_embedding, walk_cooccurrence
from graphkit.analysis.repeats import repeat_ratio, seen_pairs
from graphkit.analysis.report import LinkReport, link_report
from graphkit.analysis.reweight import TCReweighter, concentration_weights
from graphkit.analysis.wl import wl_colours, wl_distinguishes
from graphkit.data.describe import homophily

__all__ = [
    "LinkReport",
    "OpenTriangles",
    "TCReweighter",
    "approximate_concentration",
    "closure_table",
    "concentration_weights",
    "covered",
    "graphlet_adjacency",
    "graphlet_degree_vectors",
    "higher_order_links",
    "homophily",
    "link_report",
    "motif_degrees",
    "motif_refine",
    "node_link_metrics",
    "open_triangles",
    "orbit_adjacencies",
    "pmi_embedding",
    "repeat_ratio",
    "seen_pairs",
    "topological_concentration",
    "triangle_features",
    "triangle_scores",
    "walk_cooccurrence",
    "wl_colours",
    "wl_distinguishes",
]
