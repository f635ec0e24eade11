"""Heads and decoders that score pairs of nodes."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from graphkit.core.batch import Batch, Encoded, Pairs
from graphkit.core.errors import GraphKitError
from graphkit.core.registry import register
from graphkit.nn.mlp import MLP


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
        self.in_feats = self.numbers_per_score = in_feats
        self.mlp = MLP(in_feats, 1, hidden or in_feats, num_layers, dropout)

    def forward(self, src: Tensor, dst: Tensor, rel: Tensor | None = None) -> Tensor:
        """Return the scores ``[P]`` of rows ``src [P, D]`` with ``dst [P, D]``."""
        return self.mlp(src * dst).squeeze(-1)

    def against(self, src: Tensor, candidates: Tensor, rel: Tensor | None = None, side: str = "dst") -> Tensor:
        """Return the scores ``[Q, K]`` of every row of ``src [Q, D]`` with every candidate ``[K, D]``."""
        return self(src[:, None], candidates[None])


@register("concat", kind="decoder")
class ConcatDecoder(nn.Module):
    """Score a pair by an MLP of its rows side by side, hence by their order: ``MLP([z_u || z_v])``.

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
    >>> ConcatDecoder(4)(torch.ones(2, 4), torch.ones(2, 4)).shape
    torch.Size([2])
    """

    def __init__(self, in_feats: int, hidden: int | None = None, num_layers: int = 2, dropout: float = 0.0) -> None:
        super().__init__()
        self.in_feats, self.numbers_per_score = in_feats, 2 * in_feats
        self.mlp = MLP(2 * in_feats, 1, hidden or in_feats, num_layers, dropout)

    def forward(self, src: Tensor, dst: Tensor, rel: Tensor | None = None) -> Tensor:
        """Return the scores ``[P]`` of rows ``src [P, D]`` with ``dst [P, D]``."""
        return self.mlp(torch.cat([src, dst], dim=-1)).squeeze(-1)

    def against(self, src: Tensor, candidates: Tensor, rel: Tensor | None = None, side: str = "dst") -> Tensor:
        """Return the scores ``[Q, K]`` of every row of ``src [Q, D]`` with every candidate ``[K, D]``."""
        query = src[:, None].expand(-1, len(candidates), -1)
        other = candidates[None].expand(len(src), -1, -1)
        return self(query, other) if side == "dst" else self(other, query)


class LinkHead(nn.Module):
    """Score pairs of nodes by a decoder.

    Parameters
    ----------
    decoder : nn.Module
        Called as ``decoder(src, dst, rel) -> [P]``; ``decoder.against`` ranks, holding ``numbers_per_score`` numbers (1
        without) for each score.

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
        step = max(1, chunk // max(1, len(rows) * getattr(self.decoder, "numbers_per_score", 1)))
        parts = [
            self.decoder.against(enc.node[src[i : i + step]], rows, None if rel is None else rel[i : i + step], side)
            for i in range(0, len(src), step)
        ]
        return torch.cat(parts) if parts else rows.new_zeros(0, len(rows))
