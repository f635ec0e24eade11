"""Heads: from what an encoder gives to predictions for nodes, pairs, edges and graphs; they read only ``Encoded``."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from graphkit import ops
from graphkit.core.batch import Batch, Encoded, Pairs
from graphkit.core.check import check_ids
from graphkit.core.errors import GraphKitError
from graphkit.core.registry import find, register
from graphkit.core.spec import Spec
from graphkit.nn.mlp import MLP
from graphkit.nn.pool.simple import make_readout


class NodeHead(nn.Module):
    """Predict for nodes: the rows themselves, or one linear map of them.

    Parameters
    ----------
    in_feats, out_feats : int, optional
        Widths of the linear map; none where the encoder already gives ``[N, C]``.

    Examples
    --------
    >>> import graphkit, dgl
    >>> enc = Encoded(dgl.graph(([0], [1])), torch.ones(2, 4))
    >>> NodeHead(4, 3)(enc, torch.tensor([1])).shape
    torch.Size([1, 3])
    """

    def __init__(self, in_feats: int | None = None, out_feats: int | None = None) -> None:
        super().__init__()
        self.linear = nn.Identity() if in_feats is None else nn.Linear(in_feats, out_feats or 1)

    def forward(self, enc: Encoded, batch: Batch | Tensor | None = None) -> Tensor:
        """Return ``[T, C]`` for ``batch.targets`` (or the ids given), ``[N, C]`` without."""
        targets = getattr(batch, "targets", None) if isinstance(batch, Batch) else batch
        return self.linear(enc.node if targets is None else enc.node[targets])


@register("dot", kind="decoder", title="Variational Graph Auto-Encoders", arxiv="1611.07308")
class DotDecoder(nn.Module):
    """Score a pair by the inner product of its rows: ``<z_u, z_v>``.

    Parameters
    ----------
    in_feats : int
        Width D of the rows; kept so that all decoders are made alike.

    Examples
    --------
    >>> DotDecoder(4)(torch.ones(2, 4), torch.ones(2, 4)).tolist()
    [4.0, 4.0]
    """

    def __init__(self, in_feats: int) -> None:
        super().__init__()
        self.in_feats = in_feats

    def forward(self, src: Tensor, dst: Tensor, rel: Tensor | None = None) -> Tensor:
        """Return the scores ``[P]`` of rows ``src [P, D]`` with ``dst [P, D]``."""
        return (src * dst).sum(-1)

    def against(self, src: Tensor, candidates: Tensor, rel: Tensor | None = None, side: str = "dst") -> Tensor:
        """Return the scores ``[Q, K]`` of every row of ``src [Q, D]`` with every candidate ``[K, D]``."""
        return src @ candidates.T


@register("mlp", kind="decoder")
class MLPDecoder(nn.Module):
    """Score a pair by an MLP of the product of its rows, hence alike in both directions: ``MLP(z_u * z_v)``.

    Parameters
    ----------
    in_feats : int
        Width D of the rows.
    hidden : int, optional
        Width between; D without.
    num_layers : int, default 2
    dropout : float, default 0.0

    Examples
    --------
    >>> MLPDecoder(4)(torch.ones(2, 4), torch.ones(2, 4)).shape
    torch.Size([2])
    """

    def __init__(self, in_feats: int, hidden: int | None = None, num_layers: int = 2, dropout: float = 0.0) -> None:
        super().__init__()
        self.in_feats = in_feats
        self.mlp = MLP(in_feats, 1, hidden or in_feats, num_layers, dropout)

    def forward(self, src: Tensor, dst: Tensor, rel: Tensor | None = None) -> Tensor:
        """Return the scores ``[P]`` of rows ``src [P, D]`` with ``dst [P, D]``."""
        return self.mlp(src * dst).squeeze(-1)

    def against(self, src: Tensor, candidates: Tensor, rel: Tensor | None = None, side: str = "dst") -> Tensor:
        """Return the scores ``[Q, K]`` of every row of ``src [Q, D]`` with every candidate ``[K, D]``."""
        return self(src[:, None], candidates[None])


@register(
    "distmult",
    kind="decoder",
    title="Embedding Entities and Relations for Learning and Inference in Knowledge Bases",
    arxiv="1412.6575",
    example={"num_rels": 3},
)
class DistMultDecoder(nn.Module):
    """Score a triple by a diagonal bilinear form: ``sum_k z_s[k] w_r[k] z_o[k]``, alike in both directions.

    Parameters
    ----------
    in_feats : int
        Width D of the rows.
    num_rels : int
        Relations.

    Raises
    ------
    GraphKitError
        If pairs come without relations or a relation id is out of range.

    Examples
    --------
    >>> decoder = DistMultDecoder(4, num_rels=2)
    >>> s, r, o = torch.rand(3, 4), torch.tensor([0, 1, 1]), torch.rand(3, 4)
    >>> torch.equal(decoder(s, o, r), decoder(o, s, r))
    True
    """

    def __init__(self, in_feats: int, num_rels: int) -> None:
        super().__init__()
        self.in_feats, self.num_rels = in_feats, num_rels
        self.weight = nn.Parameter(torch.empty(num_rels, in_feats))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw the relations' diagonals Glorot-uniform."""
        nn.init.xavier_uniform_(self.weight, gain=nn.init.calculate_gain("relu"))

    def forward(self, src: Tensor, dst: Tensor, rel: Tensor | None = None) -> Tensor:
        """Return the scores ``[P]`` of rows ``src [P, D]``, ``dst [P, D]`` under relations ``rel [P]``."""
        return (src * dst * self._diagonal(rel)).sum(-1)

    def against(self, src: Tensor, candidates: Tensor, rel: Tensor | None = None, side: str = "dst") -> Tensor:
        """Return the scores ``[Q, K]`` of every ``(src, rel)`` with every candidate ``[K, D]``."""
        return (src * self._diagonal(rel)) @ candidates.T

    def _diagonal(self, rel: Tensor | None) -> Tensor:
        if rel is None:
            raise GraphKitError(
                "the distmult decoder scores triples, but the pairs carry no relation (pairs.rel is None)"
            )
        check_ids("pairs.rel", rel, self.num_rels)
        return self.weight[rel]


class LinkHead(nn.Module):
    """Score pairs of nodes by a decoder.

    Parameters
    ----------
    decoder : nn.Module
        Called as ``decoder(src, dst, rel) -> [P]``; ``decoder.against`` ranks.

    Raises
    ------
    GraphKitError
        If the batch has no pairs.

    Examples
    --------
    >>> import graphkit, dgl
    >>> enc = Encoded(dgl.graph(([0], [1])), torch.ones(2, 4))
    >>> LinkHead(DotDecoder(4))(enc, Pairs(torch.tensor([0]), torch.tensor([1]))).tolist()
    [4.0]
    """

    def __init__(self, decoder: nn.Module) -> None:
        super().__init__()
        self.decoder = decoder

    def forward(self, enc: Encoded, batch: Batch | Pairs) -> Tensor:
        """Return the scores ``[P]`` of the pairs (or those of the batch)."""
        pairs = batch.pairs if isinstance(batch, Batch) else batch
        if pairs is None:
            raise GraphKitError("a link head scores pairs of nodes, but the batch has none (batch.pairs is None)")
        return self.decoder(enc.node[pairs.src], enc.node[pairs.dst], pairs.rel)

    def rank(
        self,
        enc: Encoded,
        src: Tensor,
        rel: Tensor | None = None,
        candidates: Tensor | None = None,
        side: str = "dst",
        chunk: int = 1 << 22,
    ) -> Tensor:
        """Score each query node with every candidate, in chunks of bounded memory.

        Parameters
        ----------
        enc : Encoded
        src : Tensor
            int64 ``[Q]``, the known node of each query.
        rel : Tensor, optional
            int64 ``[Q]``.
        candidates : Tensor, optional
            int64 ``[K]``; all nodes without.
        side : str, default "dst"
            Which end the candidates take; decoders that are alike in both directions ignore it.
        chunk : int
            Numbers per chunk.

        Returns
        -------
        Tensor
            ``[Q, K]``.
        """
        rows = enc.node if candidates is None else enc.node[candidates]
        step = max(1, chunk // max(1, rows.numel() if isinstance(self.decoder, MLPDecoder) else len(rows)))
        parts = [
            self.decoder.against(enc.node[src[i : i + step]], rows, None if rel is None else rel[i : i + step], side)
            for i in range(0, len(src), step)
        ]
        return torch.cat(parts) if parts else rows.new_zeros(0, len(rows))


class EdgeHead(nn.Module):
    """Predict for edges from both ends and the edge's own row: ``MLP([z_u || z_v || e_uv])``.

    Parameters
    ----------
    in_feats, out_feats : int
    edge_feats : int, default 0
        Width of ``Encoded.edge``.
    hidden : int, optional
        ``in_feats`` without.

    Examples
    --------
    >>> import graphkit, dgl
    >>> EdgeHead(4, 3)(Encoded(dgl.graph(([0, 1], [1, 0])), torch.ones(2, 4))).shape
    torch.Size([2, 3])
    """

    def __init__(self, in_feats: int, out_feats: int, edge_feats: int = 0, hidden: int | None = None) -> None:
        super().__init__()
        self.edge_feats = edge_feats
        self.mlp = MLP(2 * in_feats + edge_feats, out_feats, hidden or in_feats)

    def forward(self, enc: Encoded, batch: Batch | None = None) -> Tensor:
        """Return ``[E, T]`` for the edges of ``enc.graph``."""
        parts = [ops.gather_src(enc.graph, enc.node), ops.gather_dst(enc.graph, enc.node)]
        if self.edge_feats:
            if enc.edge is None:
                raise GraphKitError(
                    f"the edge head expects {self.edge_feats} edge features, but the encoder gives none"
                )
            parts.append(enc.edge)
        return self.mlp(torch.cat(parts, -1))


class GraphHead(nn.Module):
    """Predict for graphs: pool the nodes of each graph, then an MLP.

    Parameters
    ----------
    in_feats, out_feats : int
    readout : str or nn.Module, default "mean"
        A registered pool (``sum``, ``mean``, ``max``, ``attention``, ``set2set``), or a module
        ``pool(graph, feat)`` with ``out_feats``.
    num_layers : int, default 1
        Layers of the MLP.
    hidden : int, optional
        Width between; that of the pooled rows without.
    dropout : float, default 0.0

    Examples
    --------
    >>> import graphkit, dgl
    >>> g = dgl.batch([dgl.graph(([0], [1])), dgl.graph(([0, 1], [1, 2]))])
    >>> GraphHead(4, 3)(Encoded(g, torch.ones(5, 4))).shape
    torch.Size([2, 3])
    """

    def __init__(
        self,
        in_feats: int,
        out_feats: int,
        readout: str | nn.Module = "mean",
        num_layers: int = 1,
        hidden: int | None = None,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        pool: Any = make_readout(readout, in_feats)
        self.pool, width = pool, int(pool.out_feats)
        self.mlp = MLP(width, out_feats, hidden or width, num_layers, dropout)

    def forward(self, enc: Encoded, batch: Batch | None = None) -> Tensor:
        """Return ``[B, C]``."""
        return self.mlp(self.pool(enc.graph, enc.node))


def build_head(spec: Spec, width: int, decoder: str | nn.Module | None = None, readout: Any = "mean") -> nn.Module:
    """Make the head for ``spec.level`` over rows of ``width``.

    Parameters
    ----------
    spec : Spec
    width : int
        Width of the encoder's output.
    decoder : str or nn.Module, optional
        For links ``"dot"`` and for triples ``"distmult"`` unless given.
    readout : str or nn.Module, default "mean"

    Returns
    -------
    nn.Module

    Examples
    --------
    >>> type(build_head(Spec("link", in_feats=4, out_feats=1), 16)).__name__
    'LinkHead'
    """
    if spec.level == "node":
        return NodeHead()
    if spec.level == "graph":
        return GraphHead(width, spec.out_feats, readout)
    decoder = decoder or ("distmult" if spec.level == "triple" else "dot")
    if isinstance(decoder, str):
        made = find("decoder", decoder).obj
        decoder = made(width, num_rels=spec.num_relations) if made is DistMultDecoder else made(width)
    return LinkHead(decoder)
