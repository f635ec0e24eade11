"""CGIB: Conditional Graph Information Bottleneck for Molecular Relational Learning (ICML 2023), 2305.01520."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from graphkit import _dgl, ops
from graphkit.core.batch import Batch, Encoded
from graphkit.core.check import check_choice
from graphkit.core.errors import GraphKitError
from graphkit.core.registry import Reported, register
from graphkit.core.spec import Spec
from graphkit.heads.scale import TargetScale
from graphkit.models.graph.isonet import Sets
from graphkit.models.graph.mpnn import MPNN
from graphkit.nn import MLP, Encoder
from graphkit.nn.pool.set2set import Set2Set

#: Smallest deviation of a state over the atoms of a graph, which else divides by 0 where there is one atom.
SIGMA = 1e-3
BOUNDS = ("gaussian", "published")
CONDITIONS = ("predict", "contrast")
SECONDS = ("mixed", "own")
PROTOCOL = "5-fold cross-validation"


class Pairing:
    """Which pair and side each node of a batch of pairs belongs to.

    Parameters
    ----------
    batch : Batch
        B pairs, each one graph, with the field ``side`` (0 or 1) on its nodes.

    Raises
    ------
    GraphKitError
        If the field is missing or holds something else.

    Examples
    --------
    >>> import graphkit, dgl
    >>> batch = Batch(dgl.graph(([0], [1])), torch.ones(2, 1), fields={"side": torch.tensor([0, 1])})
    >>> Pairing(batch).first.tolist()
    [0]
    """

    def __init__(self, batch: Batch) -> None:
        side, nodes = batch.fields.get("side"), batch.graph.num_nodes()
        if side is None:
            raise GraphKitError("cgib reads pairs of graphs, but the batch has no field 'side' (0 or 1 for each node)")
        if len(side) != nodes or (nodes and not bool(((side == 0) | (side == 1)).all())):
            raise GraphKitError(f"the field 'side' must hold 0 or 1 for each of {nodes} nodes")
        self.count = batch.graph.batch_size
        self.pair = torch.repeat_interleave(batch.graph.batch_num_nodes()).to(side.device)
        self.side = side
        self.sets = Sets.of(self.pair, side, self.count)
        self.first, self.second = self._rows(0), self._rows(1)

    def _rows(self, side: int) -> Tensor:
        """Return the nodes of one side, pair after pair, int64."""
        rows = (self.side == side).nonzero()[:, 0]
        return rows[torch.argsort(self.pair[rows], stable=True)]

    def offsets(self, side: int) -> Tensor:
        """Return where each pair's nodes of a side begin among them, int64 ``[B + 1]``."""
        return F.pad(self.sets.counts[:, side].cumsum(0), (1, 0))

    def read(self, pool: nn.Module, rows: Tensor, side: int) -> Tensor:
        """Pool the rows ``[N_side, D]`` of a side, pair after pair, into ``[B, D']``."""
        none = torch.zeros(0, dtype=torch.int64)
        bare = _dgl.from_arrays(none, none, len(rows))
        bare.set_batch_num_nodes(self.sets.counts[:, side].cpu())
        bare.set_batch_num_edges(torch.zeros(self.count, dtype=torch.int64))
        return pool(bare, rows)

    def interact(self, rows: Tensor) -> Tensor:
        """Put beside each node what it finds on the other side: ``[h_i || sum_j cos(h_i, h_j) h_j]``, ``[N, 2 D]``."""
        unit = F.normalize(rows, dim=-1)
        query, corpus = self.sets.dense(unit)
        return torch.cat([unit, self.sets.partners(unit, query @ corpus.transpose(1, 2))], -1)


class Bottleneck(nn.Module):
    r"""Replace what is unimportant by noise: ``T_i = lambda_i h_i + (1 - lambda_i) eps_i``.

    .. math:: \lambda_i = \sigma((\mathrm{logit}\,u_i + p_i) / \tau), \quad p_i = \mathrm{MLP}(h_i), \quad
        \epsilon_i \sim N(\mu, \sigma^2)

    with mean and deviation of the graph's own rows. What T tells of the graph is at most ``-1/2 log A + A / 2n + B^2 /
    2n``, with ``A = sum (1 - lambda)^2`` and ``B = sum lambda (h - mu) / sigma``.

    Parameters
    ----------
    width : int
    hidden : int
        Width inside the MLP.
    tau : float, default 1.0
    bound : str, default "gaussian"
        The bound above, or ``"published"``: ``1/2 (1 - lambda)^2 + (lambda (h - mu) / sigma)^2``, which the authors'
        program minimises and which has no logarithm.

    Examples
    --------
    >>> noise = Bottleneck(4, 8).eval()
    >>> rows, kl = noise(torch.ones(3, 4), torch.tensor([0, 3]))
    >>> rows.shape, float(kl)
    (torch.Size([3, 4]), 0.0)
    """

    def __init__(self, width: int, hidden: int, tau: float = 1.0, bound: str = "gaussian") -> None:
        super().__init__()
        check_choice("bound", bound, BOUNDS)
        self.tau, self.bound = tau, bound
        self.score = MLP(width, 1, hidden, 2, norm="batch")

    def forward(self, rows: Tensor, offsets: Tensor) -> tuple[Tensor, Tensor]:
        """Return noisy rows ``[N, D]`` and the bound; in eval mode the rows themselves and 0."""
        if not self.training:
            return rows, rows.new_zeros(())
        p = self.score(rows)[:, 0]
        u = torch.rand_like(p).clamp(1e-4, 1 - 1e-4)
        return self.mix(rows, offsets, ((torch.logit(u) + p) / self.tau).sigmoid())

    def mix(self, rows: Tensor, offsets: Tensor, gate: Tensor) -> tuple[Tensor, Tensor]:
        """Return ``T [N, D]`` and the bound for gates ``lambda [N]``."""
        owner = ops.segment_ids(offsets)
        still = rows.detach()
        mean = ops.segment_reduce(still, offsets, "mean")[owner]
        sigma = ops.segment_reduce((still - mean).square(), offsets, "mean").sqrt().clamp(min=SIGMA)[owner]
        keep = gate.unsqueeze(-1)
        noisy = keep * rows + (1 - keep) * (mean + sigma * torch.randn_like(rows))
        return noisy, self.information(keep, (rows - mean) / sigma, offsets)

    def information(self, keep: Tensor, z: Tensor, offsets: Tensor) -> Tensor:
        """Return the bound, mean over graphs and columns, for gates ``[N, 1]`` and standardised rows ``[N, D]``."""
        if self.bound == "published":
            each = 0.5 * (1 - keep).square() + (keep * z).square().mean(-1, keepdim=True)
            return ops.segment_reduce(each, offsets, "sum").mean()
        n = offsets.diff().clamp(min=1).to(z).unsqueeze(-1)
        noise = ops.segment_reduce((1 - keep).square(), offsets, "sum")  # A [B, 1]
        shift = ops.segment_reduce(keep * z, offsets, "sum").square().mean(-1, keepdim=True)  # B^2 [B, 1]
        # At A = n, all noise, the first two terms are least; there the bound is 0.
        floor = 0.5 - 0.5 * n.log()
        return (-0.5 * noise.clamp(min=1e-6).log() + noise / (2 * n) - floor + shift / (2 * n)).mean()


class PairHead(nn.Module):
    """An MLP over one row for each pair, ``global_``.

    Parameters
    ----------
    in_feats, out_feats : int
    hidden : tuple of int
        Widths between.

    Examples
    --------
    >>> import graphkit, dgl
    >>> enc = Encoded(dgl.graph(([0], [1])), torch.ones(2, 4), global_=torch.ones(1, 8))
    >>> PairHead(8, 2)(enc).shape
    torch.Size([1, 2])
    """

    def __init__(self, in_feats: int, out_feats: int, hidden: tuple[int, int] = (256, 128)) -> None:
        super().__init__()
        a, b = hidden
        self.mlp = nn.Sequential(nn.Linear(in_feats, a), nn.ReLU(), nn.Linear(a, b), nn.ReLU(), nn.Linear(b, out_feats))

    def forward(self, enc: Encoded, batch: Batch | None = None) -> Tensor:
        """Return ``[B, C]``."""
        return self.mlp(enc.global_)


@register(
    "cgib",
    level="graph",
    title="Conditional Graph Information Bottleneck for Molecular Relational Learning",
    arxiv="2305.01520",
    reported=[
        Reported("chromophore-absorption", "rmse", 18.11, 0.20, PROTOCOL),
        Reported("chromophore-emission", "rmse", 23.90, 0.35, PROTOCOL),
        Reported("mnsol", "rmse", 0.538, 0.007, PROTOCOL),
        Reported("freesolv-pairs", "rmse", 0.852, 0.022, PROTOCOL),
        Reported("combisolv", "rmse", 0.422, 0.005, PROTOCOL),
    ],
    levels=("graph",),
    remove_targets=False,
    task="conditional",
    try_on="ddi-chchminer",
    fit={"graph": {"lr": 0.001, "weight_decay": 0.0, "epochs": 100, "patience": 50, "batch_size": 256}},
)
class CGIB(Encoder):
    r"""Predict for a pair of graphs from the part of the first that is enough, given the second.

    Each pair is one graph, the disjoint union with ``side`` 0 and 1 on its nodes. Both are encoded by one network of
    edge networks, every atom looks at the other side, and in training the unimportant atoms of the first become noise:
    ``L = l(y, f(H1, H2)) + l(y, f(T, H2)) + beta (KL + condition)``, with ``|s(H2) - V s(T)|^2`` or its contrast with
    the other pairs of the batch as the condition, s being Set2Set. The order of a pair counts. The authors' program
    draws uniform noise where their derivation, and this, has Gaussian.

    Parameters
    ----------
    in_feats : int
    out_feats : None
        The head reads the pairs' rows.
    hidden : int, default 52
        Width d of atoms' states.
    num_layers : int, default 3
    beta : float, default 1.0
    condition : str, default "predict"
        ``"predict"``, or ``"contrast"`` (the paper's CGIB_cont).
    tau : float, default 1.0
        Of the gates, and of the contrast.
    bound : str, default "gaussian"
        See :class:`Bottleneck`.
    steps : int, default 2
        Of Set2Set.
    second : str, default "mixed"
        What is read of the second graph. ``"mixed"``, as the authors' program has it: its atoms' rows with what they
        found on the first, which so reaches the prediction past the noise too. ``"own"``: their own rows alone; what
        is told of the first graph has passed the gates, and importance says what must pass them.
    edge_feats : int, default 0
        Width of ``edge_feat``; taken from the data by ``build``.

    Examples
    --------
    >>> import graphkit, dgl
    >>> batch = Batch(dgl.graph(([0, 1, 2], [1, 0, 2])), torch.ones(3, 4), fields={"side": torch.tensor([0, 0, 1])})
    >>> CGIB(4, hidden=6).eval()(batch).global_.shape
    torch.Size([1, 48])
    """

    def __init__(
        self, in_feats: int, out_feats: None = None, hidden: int = 52, num_layers: int = 3, beta: float = 1.0,
        condition: str = "predict", tau: float = 1.0, bound: str = "gaussian", steps: int = 2, second: str = "mixed",
        edge_feats: int = 0,
    ) -> None:  # fmt: skip
        super().__init__()
        check_choice("condition", condition, CONDITIONS)
        check_choice("second", second, SECONDS)
        widths = (2 * hidden, 2 * hidden if second == "mixed" else hidden)
        self.in_feats, self.num_layers, self.out_width = in_feats, num_layers, 2 * sum(widths)
        self.beta, self.condition, self.tau = beta, condition, tau
        self.core = MPNN(in_feats, hidden, hidden, num_layers, edge_hidden=hidden, edge_feats=edge_feats)
        self.noise = Bottleneck(2 * hidden, hidden, tau, bound)
        self.pools = nn.ModuleList(Set2Set(width, steps) for width in widths)
        self.guess = nn.Linear(2 * widths[0], 2 * widths[1])  # V

    @classmethod
    def width_for(cls, spec: Spec, arguments: dict[str, Any]) -> int | None:
        """Return None: the head reads the pairs' rows."""
        return None

    @classmethod
    def spec_arguments(cls, spec: Spec) -> dict[str, Any]:
        """Return the width of the edge features."""
        return {"edge_feats": spec.edge_feats}

    def make_head(self, spec: Spec, **options: Any) -> nn.Module:
        """Return the MLP of the pairs' rows."""
        return TargetScale(PairHead(self.out_width, spec.out_feats), spec.out_feats)

    def forward(self, batch: Batch) -> Encoded:
        """Return atoms' rows ``[N, 2 d]`` and pairs' ``global_ [B, 8 d]`` (``6 d`` with ``second="own"``).

        In training, noisy views of the pairs are in ``layers``.
        """
        pairing = Pairing(batch)
        rows = pairing.interact(self.core(batch).node)
        mine = rows[pairing.first]
        other = pairing.read(self.pools[1], rows[pairing.second, : self.pools[1].in_feats], 1)
        clean = torch.cat([pairing.read(self.pools[0], mine, 0), other], -1)
        if not self.training:
            return Encoded(batch.graph, rows, global_=clean)
        noisy, kl = self.noise(mine, pairing.offsets(0))
        kept = pairing.read(self.pools[0], noisy, 0)
        aux = {"kl": self.beta * kl, "condition": self.beta * self.conditioned(kept, other)}
        return Encoded(batch.graph, rows, global_=clean, layers=(torch.cat([kept, other], -1),), aux=aux)

    def conditioned(self, kept: Tensor, other: Tensor) -> Tensor:
        """Return how badly the noisy first graphs ``[B, 4 d]`` tell of the second ones ``[B, 4 d]`` or ``[B, 2 d]``."""
        guess = self.guess(kept)
        if self.condition == "predict":
            return F.mse_loss(guess, other)
        score = F.normalize(guess, dim=-1) @ F.normalize(other, dim=-1).T / self.tau
        return F.cross_entropy(score, torch.arange(len(score), device=score.device))

    def importance(self, batch: Batch) -> Tensor:
        """Return how important each atom of the first graph is given the second, ``p [N]``; NaN on the second."""
        pairing = Pairing(batch)
        rows = pairing.interact(self.core(batch).node)
        found = rows.new_full((len(rows),), float("nan"))
        found[pairing.first] = self.noise.score(rows[pairing.first])[:, 0]
        return found
