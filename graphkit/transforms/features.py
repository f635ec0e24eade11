"""Transforms that make or change node features."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from graphkit.core.check import check_choice
from graphkit.core.errors import GraphKitError, unknown
from graphkit.core.registry import register
from graphkit.transforms.rebuild import homogeneous, with_field

if TYPE_CHECKING:
    import dgl


@register("normalize-features", kind="transform", title="Rows of absolute sum 1")
@dataclass
class NormalizeFeatures:
    r"""Divide each node's features by the sum of their absolute values; rows of zeros stay.

    .. math:: x_v' = x_v / \lVert x_v \rVert_1

    Parameters
    ----------
    field : str
        The node field ``[N, D]``.

    Raises
    ------
    GraphKitError
        If the graph has no such field.

    Examples
    --------
    >>> import graphkit
    >>> g = graphkit.graphs.graph([0], [1], node_fields={"feat": [[1.0, 3.0], [0.0, 0.0]]})
    >>> NormalizeFeatures()(g).ndata["feat"].tolist()
    [[0.25, 0.75], [0.0, 0.0]]
    """

    field: str = "feat"

    def __call__(self, graph: dgl.DGLGraph) -> dgl.DGLGraph:
        """Return the graph with normalised features."""
        if self.field not in homogeneous(graph).ndata:
            raise unknown("node field", self.field, graph.ndata)
        made = graph.local_var()
        feat = made.ndata[self.field]
        feat = feat if feat.is_floating_point() else feat.float()
        total = feat.abs().sum(dim=-1, keepdim=True)
        made.ndata[self.field] = feat / torch.where(total > 0, total, 1.0)
        return made


@register("degree-features", kind="transform", title="Degrees as features")
@dataclass
class DegreeFeatures:
    r"""Add each node's degree, as a number or one-hot.

    .. math:: x_v' = [x_v \,\Vert\, \deg(v)] \quad\text{or}\quad [x_v \,\Vert\, \mathrm{onehot}(\min(\deg(v), m))]

    Parameters
    ----------
    max_degree : int, optional
        m: one-hot of width ``m + 1``, with all larger degrees in the last column. None: one column with the degree.
    direction : str
        ``"in"`` or ``"out"``.
    field : str
        Where they go: ``"feat"`` appends to the features, another name makes a field.

    Raises
    ------
    GraphKitError
        If ``max_degree`` is negative.

    Examples
    --------
    >>> import graphkit, dgl
    >>> DegreeFeatures(max_degree=1)(dgl.graph(([0, 1], [2, 2]))).ndata["feat"].tolist()
    [[1.0, 0.0], [1.0, 0.0], [0.0, 1.0]]
    """

    max_degree: int | None = None
    direction: str = "in"
    field: str = "feat"

    def __post_init__(self) -> None:
        check_choice("direction", self.direction, ["in", "out"])
        if self.max_degree is not None and self.max_degree < 0:
            raise GraphKitError(f"max_degree is {self.max_degree}; expected 0 or more, or None for the number itself")

    def __call__(self, graph: dgl.DGLGraph) -> dgl.DGLGraph:
        """Return the graph with degree features."""
        src, dst = homogeneous(graph).edges(order="eid")
        degree = torch.bincount(dst if self.direction == "in" else src, minlength=graph.num_nodes())
        if self.max_degree is None:
            return with_field(graph, self.field, degree[:, None].float())
        one_hot = torch.nn.functional.one_hot(degree.clamp(max=self.max_degree), self.max_degree + 1)
        return with_field(graph, self.field, one_hot.float())


@register("weight-features", kind="transform", title="Weights of edges as features of edges")
@dataclass
class WeightFeatures:
    r"""Append the weight of each edge to its features.

    .. math:: x_{uv}' = [x_{uv} \,\Vert\, w_{uv}]

    Models that read features of events, such as those of temporal links, then see how much each event weighs: bills
    sponsored together, votes alike. The tables of DyGLib were made so.

    Parameters
    ----------
    log : bool
        Append ``log(1 + w)`` instead, for counts.

    Raises
    ------
    GraphKitError
        If edges have no weights, or a logarithm is asked of weights below 0.

    Notes
    -----
    Yu et al., "Towards Better Dynamic Graph Learning: New Architecture and Unified Library", arXiv 2303.13047.

    Examples
    --------
    >>> import graphkit
    >>> g = graphkit.graphs.graph([0, 1], [1, 2], edge_fields={"weight": [2.0, 5.0]})
    >>> WeightFeatures()(g).edata["feat"].tolist()
    [[2.0], [5.0]]
    """

    log: bool = False

    def __call__(self, graph: dgl.DGLGraph) -> dgl.DGLGraph:
        """Return the graph with its weights among the features of edges."""
        if "weight" not in homogeneous(graph).edata:
            raise unknown("edge field", "weight", graph.edata)
        weight = graph.edata["weight"].float()
        weight = weight[:, None] if weight.dim() == 1 else weight
        if self.log and bool((weight < 0).any()):
            raise GraphKitError(f"the smallest weight is {float(weight.min()):g}; log=True needs weights of at least 0")
        made = graph.local_var()
        old = [made.edata["feat"].float()] if "feat" in made.edata else []
        made.edata["feat"] = torch.cat([*old, weight.log1p() if self.log else weight], dim=1)
        return made
