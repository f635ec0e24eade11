"""Neural fingerprints: Convolutional Networks on Graphs for Learning Molecular Fingerprints (2015), 1509.09292."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from graphkit import ops
from graphkit.core.batch import Batch, Encoded
from graphkit.core.check import check_choice, check_size
from graphkit.core.errors import GraphKitError
from graphkit.core.registry import Reported, register
from graphkit.core.spec import Spec
from graphkit.heads.scale import TargetScale
from graphkit.nn import MLP, Encoder
from graphkit.nn.layer import Layer, glorot
from graphkit.nn.norm import BatchNorm1d

if TYPE_CHECKING:
    import dgl

PROTOCOL = "mean of random splits, fingerprint and MLP"


class FingerprintConv(Layer):
    """A matrix per degree: ``h_v = W x_v + W_deg(v) sum_u w_uv [x_u || e_uv] + b``.

    Parameters
    ----------
    in_feats, out_feats : int
    edge_feats : int, default 0
    max_degree : int, default 6
        Degrees with a matrix of their own; a node without neighbours needs none.
    overflow : str, default "raise"
        What to do with a larger degree: refuse it, or ``"clamp"`` it to the largest.

    Raises
    ------
    GraphKitError
        For a degree above ``max_degree``, a wrong width or length, or integer features.

    Examples
    --------
    >>> import graphkit, dgl
    >>> FingerprintConv(4, 2)(dgl.graph(([0, 1], [1, 2])), torch.ones(3, 4)).shape
    torch.Size([3, 2])
    """

    def __init__(
        self, in_feats: int, out_feats: int, edge_feats: int = 0, max_degree: int = 6, overflow: str = "raise"
    ) -> None:
        super().__init__(in_feats, out_feats, edge_feats)
        check_size("max_degree", max_degree)
        check_choice("overflow", overflow, ("raise", "clamp"))
        self.max_degree, self.overflow = max_degree, overflow
        self.fc_self = nn.Linear(in_feats, out_feats)
        self.weight = nn.Parameter(torch.empty(max_degree, in_feats + edge_feats, out_feats))
        glorot(self.weight)

    def forward(
        self,
        graph: dgl.DGLGraph,
        feat: Tensor,
        edge_feat: Tensor | None = None,
        edge_weight: Tensor | None = None,
        etype: Tensor | None = None,
    ) -> Tensor:
        """Return ``[Ndst, out_feats]`` for ``feat [Nsrc, in_feats]``, ``edge_feat [E, De]``, ``edge_weight [E]``."""
        self.check(graph, feat, edge_feat, edge_weight)
        around = ops.spmm(graph, feat, edge_weight)  # [Ndst, in]
        if self.edge_feats:
            assert edge_feat is not None
            bonds = edge_feat if edge_weight is None else edge_feat * edge_weight.unsqueeze(-1).to(edge_feat)
            around = torch.cat([around, ops.edge_reduce(graph, bonds)], -1)
        return self.fc_self(ops.dst_rows(graph, feat)) + ops.typed_matmul(around, self.weight, self.degree(graph))

    def degree(self, graph: dgl.DGLGraph) -> Tensor:
        """Return which matrix each destination takes, int64 ``[Ndst]``: that of its degree, counted from 1."""
        degree = ops.degrees(graph, "in").long()
        most = int(degree.max()) if len(degree) else 0
        if most > self.max_degree and self.overflow == "raise":
            raise GraphKitError(
                f"node {int(degree.argmax())} has {most} neighbours, more than max_degree={self.max_degree}; raise it, "
                "or take overflow='clamp'"
            )
        return degree.clamp(1, self.max_degree) - 1


class FingerprintHead(nn.Module):
    """Write every layer's atoms into a fingerprint, and read that: ``f = sum_l sum_v softmax(W_l r_v^l + b_l)``.

    Every atom writes 1 in each layer, so the entries of a fingerprint sum to ``(R + 1)`` times the number of atoms.

    Parameters
    ----------
    widths : list of int
        Width of each layer's rows, the input's first.
    out_feats : int
    length : int, default 50
        Entries F.
    hidden : int, default 100
        Width of the MLP that reads the fingerprint.
    dropout : float, default 0.0
        In that MLP.

    Examples
    --------
    >>> import graphkit, dgl
    >>> rows = torch.ones(2, 4)
    >>> head = FingerprintHead([4], 1, length=8)
    >>> round(head.fingerprint(Encoded(dgl.graph(([0], [1])), rows, layers=(rows,))).sum().item(), 4)
    2.0
    """

    def __init__(
        self, widths: list[int], out_feats: int, length: int = 50, hidden: int = 100, dropout: float = 0.0
    ) -> None:
        super().__init__()
        self.writers = nn.ModuleList(nn.Linear(width, length) for width in widths)
        self.mlp = MLP(length, out_feats, hidden, 2, dropout, norm="batch")

    def atoms(self, enc: Encoded) -> Tensor:
        """Return what each atom writes, ``[N, F]``."""
        parts = zip(self.writers, enc.layers, strict=True)
        return torch.stack([writer(rows).softmax(-1) for writer, rows in parts]).sum(0)

    def fingerprint(self, enc: Encoded) -> Tensor:
        """Return the fingerprints ``[B, F]``."""
        return ops.segment_reduce(self.atoms(enc), ops.offsets(enc.graph), "sum")

    def forward(self, enc: Encoded, batch: Batch | None = None) -> Tensor:
        """Return ``[B, C]``."""
        return self.mlp(self.fingerprint(enc))


@register(
    "neural-fingerprint",
    level="graph",
    title="Convolutional Networks on Graphs for Learning Molecular Fingerprints",
    arxiv="1509.09292",
    reported=[
        Reported("esol", "rmse", 0.52, 0.07, PROTOCOL, "third-party"),
        Reported("malaria", "rmse", 1.16, 0.03, PROTOCOL),
        Reported("cep", "rmse", 1.43, 0.09, PROTOCOL),
    ],
    levels=("graph",),
    remove_targets=False,
    try_on="esol",
    # In a small random graph most degrees do not occur, and their matrices get no gradient.
    example={"max_degree": 1, "overflow": "clamp"},
    fit={"graph": {"lr": 0.0025, "weight_decay": 1e-4, "epochs": 100, "batch_size": 100}},
)
class NeuralFingerprint(Encoder):
    """Circular fingerprints with learned parts: hashing becomes a layer, indexing a softmax.

    ``r_v <- relu(norm(W r_v + W_deg(v) sum_u [r_u || e_uv] + b))``; the head sums what every layer writes. Numbers to
    be predicted are standardised by the training part. The paper has matrices for degrees up to 5 (here 6, for SF6 and
    its like), initial weights of deviation e^-4 and a penalty e^-2 on them; here they are Glorot-uniform, and the decay
    is that of the registration.

    Parameters
    ----------
    in_feats : int
    out_feats : None
        The head reads all layers.
    hidden : int, default 20
        Width of the layers.
    num_layers : int, default 4
        The radius R.
    length : int, default 50
        Entries of the fingerprint.
    read : int, default 100
        Width of the MLP behind it.
    dropout : float, default 0.0
        In that MLP.
    max_degree : int, default 6
    overflow : str, default "raise"
        ``"raise"`` or ``"clamp"``, for atoms with more neighbours.
    edge_feats : int, default 0
        Width of ``edge_feat``; taken from the data by ``build``.

    Examples
    --------
    >>> import graphkit, dgl
    >>> batch = Batch(dgl.graph(([0, 1], [1, 2])), torch.ones(3, 4))
    >>> len(NeuralFingerprint(4)(batch).layers)
    5
    """

    def __init__(
        self, in_feats: int, out_feats: None = None, hidden: int = 20, num_layers: int = 4, length: int = 50,
        read: int = 100, dropout: float = 0.0, max_degree: int = 6, overflow: str = "raise", edge_feats: int = 0,
    ) -> None:  # fmt: skip
        super().__init__()
        self.in_feats, self.num_layers, self.out_width = in_feats, num_layers, hidden
        self.length, self.read, self.dropout = length, read, dropout
        self.widths = [in_feats, *[hidden] * num_layers]
        self.convs = nn.ModuleList(
            FingerprintConv(a, hidden, edge_feats, max_degree, overflow) for a in self.widths[:-1]
        )
        self.norms = nn.ModuleList(BatchNorm1d(hidden) for _ in self.convs)

    @classmethod
    def width_for(cls, spec: Spec, arguments: dict[str, Any]) -> int | None:
        """Return None: the head reads the layers."""
        return None

    @classmethod
    def spec_arguments(cls, spec: Spec) -> dict[str, Any]:
        """Return the width of the edge features."""
        return {"edge_feats": spec.edge_feats}

    def make_head(self, spec: Spec, **options: Any) -> nn.Module:
        """Return the head that writes and reads fingerprints."""
        head = FingerprintHead(self.widths, spec.out_feats, self.length, self.read, self.dropout)
        return TargetScale(head, spec.out_feats)

    def forward(self, batch: Batch) -> Encoded:
        """Return the last rows ``[N, hidden]``, with the input and every layer's rows in ``layers``."""
        x, layers = batch.feat, [batch.feat]
        for conv, norm, hop in zip(self.convs, self.norms, batch.hops(self.num_layers), strict=True):
            x = torch.relu(norm(conv(hop.graph, x, hop.edge_feat, hop.edge_weight)))
            layers.append(x)
        return Encoded(batch.graph, x, layers=tuple(layers))
