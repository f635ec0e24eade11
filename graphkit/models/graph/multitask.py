"""Massively Multitask Networks for Drug Discovery (Ramsundar et al., 2015), 1502.02072."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from graphkit.core.batch import Batch, Encoded
from graphkit.core.check import check_size
from graphkit.core.errors import GraphKitError
from graphkit.core.registry import Reported, register
from graphkit.core.spec import Spec
from graphkit.heads.scale import TargetScale
from graphkit.nn import Dropout, Encoder

if TYPE_CHECKING:
    import dgl

PROTOCOL = "median over assays of the 5-fold mean, pyramidal, 259 assays together"
#: Odd numbers that spread bits over 64 of them, from the finaliser of SplitMix64, as signed integers.
SPREAD = (-4658895280553007687, -7723592293110705685)


def mix(code: Tensor) -> Tensor:
    """Scramble integers, int64 of any shape: the finaliser of SplitMix64, arithmetic modulo 2^64.

    >>> len(set((mix(torch.arange(1000)) % 1024).tolist())) > 600
    True
    """
    code = (code ^ ((code >> 30) & (2**34 - 1))) * SPREAD[0]
    code = (code ^ ((code >> 27) & (2**37 - 1))) * SPREAD[1]
    return code ^ ((code >> 31) & (2**33 - 1))


def row_codes(rows: Tensor) -> Tensor:
    """Return one integer for each row of numbers, int64 ``[N]``: equal for equal rows.

    >>> row_codes(torch.tensor([[1.0, 0.0], [1.0, 0.0]])).unique().numel()
    1
    """
    bits = (rows.detach().float() + 0.0).contiguous().view(torch.int32).long()  # + 0.0 makes -0 the same as 0
    place = mix(torch.arange(1, rows.shape[1] + 1, device=rows.device)) | 1
    return mix((mix(bits) * place).sum(1))


def circular_fingerprint(
    graph: dgl.DGLGraph,
    feat: Tensor,
    edge_feat: Tensor | None = None,
    radius: int = 2,
    length: int = 1024,
    counts: bool = False,
) -> Tensor:
    r"""Hash what surrounds each atom within 0, 1, ... ``radius`` bonds, and mark one bit for each: ECFP on any graph.

    .. math:: c_v^{r+1} = \mathrm{mix}(c_v^r, \sum_u \mathrm{mix}(c_u^r, e_{uv}))

    Unlike RDKit's, an atom's features are those of the graph, and surroundings of the same atoms are not merged.

    Parameters
    ----------
    graph : dgl.DGLGraph
        B graphs.
    feat : Tensor
        ``[N, D]``; two atoms are of a kind if their rows are equal.
    edge_feat : Tensor, optional
        ``[E, De]``.
    radius : int
        2 is ECFP4.
    length : int
        Bits F.
    counts : bool, default False
        Count in place of marking.

    Returns
    -------
    Tensor
        0 or 1, or counts, in the type of ``feat``, ``[B, F]``.

    Notes
    -----
    Rogers, Hahn, Extended-connectivity fingerprints (2010).

    Examples
    --------
    >>> import graphkit, dgl
    >>> path = dgl.graph(([0, 1, 1, 2], [1, 0, 2, 1]))
    >>> circular_fingerprint(path, torch.ones(3, 1), radius=1).sum().item()  # an atom; an end and a middle
    3.0
    """
    src, dst = (end.to(feat.device).long() for end in graph.edges(order="eid"))
    code = row_codes(feat)
    bond = torch.zeros_like(src) if edge_feat is None else row_codes(edge_feat)
    owner = torch.repeat_interleave(graph.batch_num_nodes().to(feat.device))
    bits = feat.new_zeros(graph.batch_size, length)
    for step in range(radius + 1):
        bits.index_put_((owner, code.remainder(length)), bits.new_ones(()), accumulate=counts)
        if step < radius:
            around = torch.zeros_like(code).index_add_(0, dst, mix(3 * code[src] + bond))
            code = mix(5 * code + mix(around + step + 1))
    return bits


class MultiTaskHead(nn.Module):
    """One linear read-out for each task over one row for each graph: ``y_t = w_t . z + b_t``.

    Parameters
    ----------
    in_feats : int
    num_tasks : int

    Examples
    --------
    >>> import graphkit, dgl
    >>> enc = Encoded(dgl.graph(([0], [1])), torch.ones(2, 4), global_=torch.ones(1, 8))
    >>> MultiTaskHead(8, 12)(enc).shape
    torch.Size([1, 12])
    """

    def __init__(self, in_feats: int, num_tasks: int) -> None:
        super().__init__()
        self.linear = nn.Linear(in_feats, num_tasks)

    def forward(self, enc: Encoded, batch: Batch | None = None) -> Tensor:
        """Return ``[B, T]`` for ``enc.global_ [B, D]``."""
        if enc.global_ is None:
            raise GraphKitError("the multitask head reads one row for each graph, but the encoder gives none")
        return self.linear(enc.global_)


@register(
    "multitask",
    level="graph",
    title="Massively Multitask Networks for Drug Discovery",
    arxiv="1502.02072",
    reported=[
        Reported("tox21", "roc_auc", 81.8, protocol=PROTOCOL),
        Reported("muv", "roc_auc", 84.1, protocol=PROTOCOL),
        Reported("pcba", "roc_auc", 87.3, protocol=PROTOCOL),
    ],
    declines={"edge_weight": "a hashed fingerprint knows whether a bond is there, not how much of it"},
    levels=("graph",),
    remove_targets=False,
    try_on="tox21",
    fit={"graph": {"lr": 0.001, "weight_decay": 1e-4, "epochs": 30, "batch_size": 128, "balance": "class"}},
)
class Multitask(Encoder):
    """One trunk for all assays over circular fingerprints, wide and then narrow, and a logistic head for each assay.

    ``z = relu(V relu(U f + a) + b)``, dropout behind each; missing labels (NaN) take no part in the loss, and
    ``balance="class"`` gives every assay, and its actives and inactives, the same weight. The paper trains 50 million
    steps on 259 assays.

    Parameters
    ----------
    in_feats : int
    out_feats : None
        The head gives a number for each task.
    hidden : int, default 2000
        Width of the first layer.
    narrow : int, default 100
        Width of the second; 0 leaves it out (the paper's one-layer network is ``hidden=1200, narrow=0``).
    radius : int, default 2
    length : int, default 1024
        Bits of the fingerprint.
    dropout : float, default 0.25

    Examples
    --------
    >>> import graphkit, dgl
    >>> Multitask(4, hidden=8, narrow=3)(Batch(dgl.graph(([0], [1])), torch.ones(2, 4))).global_.shape
    torch.Size([1, 3])
    """

    def __init__(
        self, in_feats: int, out_feats: None = None, hidden: int = 2000, narrow: int = 100, radius: int = 2,
        length: int = 1024, dropout: float = 0.25,
    ) -> None:  # fmt: skip
        super().__init__()
        check_size("radius", radius, 0)
        check_size("length", length)
        check_size("narrow", narrow, 0)
        self.in_feats, self.radius, self.length = in_feats, radius, length
        widths = [length, hidden, *([narrow] if narrow else [])]
        self.linears = nn.ModuleList(nn.Linear(a, b) for a, b in itertools.pairwise(widths))
        self.out_width, self.dropout = widths[-1], Dropout(dropout)

    @classmethod
    def width_for(cls, spec: Spec, arguments: dict[str, Any]) -> int | None:
        """Return None: the head has a number for each task."""
        return None

    def make_head(self, spec: Spec, **options: Any) -> nn.Module:
        """Return a read-out for each task."""
        return TargetScale(MultiTaskHead(self.out_width, spec.out_feats), spec.out_feats)

    def forward(self, batch: Batch) -> Encoded:
        """Return the atoms' rows as they came, and the trunk's ``[B, narrow]`` in ``global_``."""
        edge_feat: Any = batch.edge_feat
        x = circular_fingerprint(batch.graph, batch.feat, edge_feat, self.radius, self.length)
        x = x + 0 * batch.feat.sum()  # what is hashed has no slope, which attributions can then say
        for linear in self.linears:
            x = self.dropout(torch.relu(linear(x)))
        return Encoded(batch.graph, batch.feat, global_=x)
