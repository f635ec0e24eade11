"""MPNN: Neural Message Passing for Quantum Chemistry (Gilmer et al., ICML 2017), 1704.01212."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from graphkit import ops
from graphkit.core.batch import Batch, Encoded, Hop
from graphkit.core.check import check_choice
from graphkit.core.errors import GraphKitError
from graphkit.core.registry import Reported, register
from graphkit.core.spec import Spec
from graphkit.heads import GraphHead
from graphkit.heads.scale import TargetScale
from graphkit.nn import MLP, Encoder, NNConv
from graphkit.nn.gcn import scale
from graphkit.nn.pool.set2set import Set2Set
from graphkit.nn.pool.simple import Pool

MESSAGES = ("edge-net", "linear", "pair")
#: Edges have kinds when at most this share of a batch's edge features differ; each kind then has one matrix.
FEW = 0.25
QM9 = "QM9, error over chemical accuracy, enn-s2s"
MOLECULENET = "MoleculeNet's benchmark, random split, 3 seeds"


class EdgeNetwork(nn.Module):
    """Sum messages ``A(e_uv) h_u`` where ``A`` is a network of the edge's features, in towers of equal width.

    ``A(e) = A_0 + sum_j relu(U e + c)_j A_j`` (``hidden`` numbers j), or linear in e with ``hidden=None``. With k
    towers A has k diagonal blocks. Where edge features take few values, as bonds do, there is one matrix for each
    value, and none for each edge.

    Parameters
    ----------
    width : int
        Of the nodes' states, and of the messages.
    edge_feats : int
    hidden : int, optional
    towers : int, default 1

    Examples
    --------
    >>> import graphkit, dgl
    >>> from graphkit.core.batch import Hop
    >>> hop = Hop(dgl.graph(([0, 1], [1, 2])), torch.ones(2, 3), None, None)
    >>> EdgeNetwork(4, 3, hidden=8, towers=2)(hop, torch.ones(3, 4), None).shape
    torch.Size([3, 4])
    """

    def __init__(self, width: int, edge_feats: int, hidden: int | None = None, towers: int = 1) -> None:
        super().__init__()
        if width % towers:
            raise GraphKitError(f"towers={towers} does not divide hidden={width}")
        self.towers = nn.ModuleList(
            NNConv(width // towers, width // towers, edge_feats, hidden, root_weight=False) for _ in range(towers)
        )

    def _convs(self) -> list[NNConv]:
        return [conv for conv in self.towers if isinstance(conv, NNConv)]

    def matrices(self, rows: Tensor) -> Tensor:
        """Return ``A`` of edge features ``[R, De]``, the blocks ``[R, k, d / k, d / k]`` of k towers."""
        made = []
        for conv in self._convs():
            r = rows if conv.fc_edge is None else torch.relu(conv.fc_edge(rows))
            r, weight = nn.functional.pad(r, (1, 0), value=1.0), conv.weight
            made.append((r @ weight.flatten(1)).view(-1, *weight.shape[1:]))
        return torch.stack(made, 1)

    def forward(self, hop: Hop, state: Tensor, kinds: tuple[Tensor, Tensor] | None) -> Tensor:
        """Return messages ``[Ndst, d]`` to ``state [Nsrc, d]``; ``kinds`` from :func:`edge_kinds`."""
        if kinds is None:
            parts = zip(self.towers, state.chunk(len(self.towers), -1), strict=True)
            return torch.cat([conv(hop.graph, part, hop.edge_feat, hop.edge_weight) for conv, part in parts], -1)
        weight = self.matrices(kinds[0])
        weight = weight[:, 0] if len(self.towers) == 1 else weight
        bias = torch.cat([conv.bias for conv in self.towers])
        return ops.typed_spmm(hop.graph, state, weight, kinds[1], hop.edge_weight) + bias


class PairMessage(nn.Module):
    """Sum messages ``MLP([h_u || h_v || e_uv])`` of one hidden layer, whose first map is split over its parts.

    Parameters
    ----------
    width, edge_feats : int

    Examples
    --------
    >>> import graphkit, dgl
    >>> hop = Hop(dgl.graph(([0, 1], [1, 2])), torch.ones(2, 3), None, None)
    >>> PairMessage(4, 3)(hop, torch.ones(3, 4), None).shape
    torch.Size([3, 4])
    """

    def __init__(self, width: int, edge_feats: int) -> None:
        super().__init__()
        self.source, self.target = nn.Linear(width, width), nn.Linear(width, width, bias=False)
        self.beside, self.out = nn.Linear(edge_feats, width, bias=False), nn.Linear(width, width)

    def forward(self, hop: Hop, state: Tensor, kinds: tuple[Tensor, Tensor] | None) -> Tensor:
        """Return messages ``[Ndst, d]`` to ``state [Nsrc, d]``."""
        ends = ops.sddmm(hop.graph, self.source(state), self.target(ops.dst_rows(hop.graph, state)), "add")
        sent = self.out(torch.relu(ends + self.beside(hop.edge_feat)))  # [E, d]
        return ops.edge_reduce(hop.graph, scale(sent, hop.edge_weight))


def edge_kinds(edge_feat: Tensor) -> tuple[Tensor, Tensor] | None:
    """Return the different rows ``[R, De]`` of edge features and which each edge has, int64 ``[E]``.

    None where they are many, or where gradients are asked of them.

    >>> rows, kind = edge_kinds(torch.tensor([[1.0], [2.0]]).repeat(8, 1))
    >>> rows.flatten().tolist(), kind[:3].tolist()
    ([1.0, 2.0], [0, 1, 0])
    """
    edges, width = edge_feat.shape
    if not edges or edge_feat.requires_grad:
        return None
    key = edge_feat.double() @ torch.arange(1, width + 1, device=edge_feat.device).double().sqrt()
    few, kind = torch.unique(key, return_inverse=True)
    if len(few) > max(FEW * edges, 1):
        return None
    first = torch.full_like(few, edges, dtype=torch.int64)
    first.scatter_reduce_(0, kind, torch.arange(edges, device=kind.device), "amin")
    rows = edge_feat[first]
    return (rows, kind) if torch.equal(rows[kind], edge_feat) else None  # two rows may share a key


class GatedSum(Pool):
    """The readout of gated graph networks: ``g_b = sum_v sigmoid(i(x_v)) * j(x_v)``, ``i`` and ``j`` linear.

    Parameters
    ----------
    in_feats : int

    Examples
    --------
    >>> import graphkit, dgl
    >>> GatedSum(4)(dgl.graph(([0], [1])), torch.ones(2, 4)).shape
    torch.Size([1, 4])
    """

    def __init__(self, in_feats: int) -> None:
        super().__init__(in_feats)
        self.gate, self.value = nn.Linear(in_feats, in_feats), nn.Linear(in_feats, in_feats)

    def forward(self, graph: Any, feat: Tensor) -> Tensor:
        """Return ``[B, D]`` for ``feat [N, D]``."""
        self.check(graph, feat)
        return ops.segment_reduce(self.gate(feat).sigmoid() * self.value(feat), ops.offsets(graph), "sum")


@register(
    "mpnn",
    level="graph",
    title="Neural Message Passing for Quantum Chemistry",
    arxiv="1704.01212",
    reported=[
        Reported("qm9-mu", "error ratio", 0.30, protocol=QM9, source="third-party"),
        Reported("qm9-gap", "error ratio", 1.60, protocol=QM9, source="third-party"),
        Reported("qm9-u0", "error ratio", 0.45, protocol=QM9, source="third-party"),
        Reported("esol", "rmse", 0.58, 0.03, MOLECULENET),
        Reported("freesolv", "rmse", 1.15, 0.12, MOLECULENET),
        Reported("lipophilicity", "rmse", 0.719, 0.031, MOLECULENET),
    ],
    levels=("graph", "node", "link"),
    remove_targets=True,
    try_on="esol",
    fit={
        "graph": {"lr": 0.001, "weight_decay": 0.0, "epochs": 100, "batch_size": 32, "scheduler": "cosine"},
        "node": {"lr": 0.001, "weight_decay": 5e-4, "epochs": 200},
        "link": {"lr": 0.001, "weight_decay": 0.0, "epochs": 200},
    },
)
class MPNN(Encoder):
    r"""Messages from edge networks, a GRU that updates, and at graph level Set2Set: the paper's enn-s2s.

    .. math:: m_v = \sum_u A(e_{uv}) h_u, \quad h_v \leftarrow \mathrm{GRU}(m_v, h_v), \quad
        y = R(\{[h_v^T \| h_v^0]\})

    ``num_layers`` rounds share their weights; ``h^0 = W x + b``. Numbers to be predicted are standardised by the
    training part. The paper tunes 3 to 8 rounds and trains for 3 million steps at 1e-5 to 5e-4; the settings here are
    those of a set of thousands of molecules. Edges without features all carry the number 1.

    Parameters
    ----------
    in_feats : int
    out_feats : int, optional
        Width of a last linear map of ``[h^T || h^0]``; None leaves these rows, which the readouts take.
    hidden : int, default 64
        Width d of the states.
    num_layers : int, default 3
        Rounds T.
    message : str, default "edge-net"
        ``"edge-net"``; ``"linear"``, with ``A`` linear in the edge's features: a matrix for each kind of bond, as in
        GG-NN; ``"pair"``, the weaker ``MLP([h_u || h_v || e])``.
    edge_hidden : int, default 64
        Width inside the edge network.
    towers : int, default 1
        k states of width d / k with matrices of their own, mixed by an MLP after each round.
    dropout : float, default 0.0
        In the MLP after the readout.
    edge_feats : int, default 0
        Width of ``edge_feat``; taken from the data by ``build``.

    Examples
    --------
    >>> import graphkit, dgl
    >>> batch = Batch(dgl.graph(([0, 1], [1, 2])), torch.ones(3, 4), torch.ones(2, 2))
    >>> MPNN(4, 3, edge_feats=2)(batch).node.shape
    torch.Size([3, 3])
    """

    def __init__(
        self, in_feats: int, out_feats: int | None, hidden: int = 64, num_layers: int = 3, message: str = "edge-net",
        edge_hidden: int = 64, towers: int = 1, dropout: float = 0.0, edge_feats: int = 0,
    ) -> None:  # fmt: skip
        super().__init__()
        check_choice("message", message, MESSAGES)
        self.in_feats, self.num_layers, self.edge_feats = in_feats, num_layers, edge_feats
        self.out_width, self.dropout = out_feats or 2 * hidden, dropout
        self.embed = nn.Linear(in_feats, hidden)
        inner = None if message == "linear" else edge_hidden
        width = max(edge_feats, 1)
        self.message = (
            PairMessage(hidden, width) if message == "pair" else EdgeNetwork(hidden, width, inner, towers)
        )  # fmt: skip
        self.mix = MLP(hidden, hidden) if towers > 1 else None
        self.update = nn.GRUCell(hidden, hidden)
        self.fc = nn.Linear(2 * hidden, out_feats) if out_feats else None

    @classmethod
    def width_for(cls, spec: Spec, arguments: dict[str, Any]) -> int | None:
        """Return None at graph level, where the head reads the states themselves."""
        return None if spec.level == "graph" else super().width_for(spec, arguments)

    @classmethod
    def spec_arguments(cls, spec: Spec) -> dict[str, Any]:
        """Return the width of the edge features."""
        return {"edge_feats": spec.edge_feats}

    def make_head(self, spec: Spec, **options: Any) -> nn.Module:
        """Return the head; at graph level ``readout="set2set"`` unless given, or ``"gated"``, or any pool."""
        if spec.level != "graph":
            return super().make_head(spec, **options)
        readout = options.get("readout", "set2set")
        if isinstance(readout, str):
            made = {"set2set": Set2Set, "gated": GatedSum}.get(readout)
            readout = readout if made is None else made(self.out_width)
        head = GraphHead(self.out_width, spec.out_feats, readout, 2, self.out_width, self.dropout)
        return TargetScale(head, spec.out_feats)

    def forward(self, batch: Batch) -> Encoded:
        """Return rows ``[N, out_feats]``, or ``[h^T || h^0]`` where there is no last map."""
        first = h = self.embed(batch.feat)
        kinds: dict[int, tuple[Tensor, Tensor] | None] = {}
        for hop in batch.hops(self.num_layers):
            hop = self._with_edges(hop, h)
            edge_feat: Any = hop.edge_feat
            if id(edge_feat) not in kinds:  # the same tensor in every round, except on blocks
                kinds = {id(edge_feat): edge_kinds(edge_feat)}
            m = self.message(hop, h, kinds[id(edge_feat)])
            h = self.update(m, ops.dst_rows(hop.graph, h))
            h = h if self.mix is None else self.mix(h)
        rows = torch.cat([h, first[: len(h)]], -1)
        return Encoded(batch.graph, rows if self.fc is None else self.fc(rows))

    def _with_edges(self, hop: Hop, like: Tensor) -> Hop:
        """Return the hop with features of its edges: 1 for each where the data have none."""
        if not self.edge_feats:
            return hop._replace(edge_feat=like.new_ones(hop.graph.num_edges(), 1))
        if hop.edge_feat is None or hop.edge_feat.shape != (hop.graph.num_edges(), self.edge_feats):
            came = "none" if hop.edge_feat is None else f"shape {list(hop.edge_feat.shape)}"
            raise GraphKitError(
                f"mpnn expects edge features [{hop.graph.num_edges()}, {self.edge_feats}], but the batch has {came}"
            )
        return hop
