"""Cooperative Graph Neural Networks, 2310.01267: before each layer a node chooses whether it listens and broadcasts."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from graphkit import ops
from graphkit.core.check import check_choice, check_size
from graphkit.core.errors import GraphKitError
from graphkit.core.registry import register
from graphkit.nn.gcn import scale
from graphkit.nn.layer import Layer
from graphkit.nn.sage import SAGEConv

if TYPE_CHECKING:
    import dgl

CHOOSES_BY_ITS_SOURCES = "a source chooses by what it hears itself, and a block holds what its targets hear"
STEPS = "in eval mode a node takes its likelier action, a step that has no slope; in training the gradients are there"
#: Below it the gradient of the softmax vanishes.
LEAST_TAU = 0.01


class ActionNet(Layer):
    """Logits of a choice: a stack of SAGE layers, ``[in_feats, hidden, ..., 2]``, with ReLU between.

    Column 0 is for doing it (listening, or broadcasting), column 1 for not.

    Parameters
    ----------
    in_feats : int
    hidden : int, default 16
    num_layers : int, default 1
    aggregator : str, default "mean"

    Raises
    ------
    GraphKitError
        For no layers, an unknown aggregator, a wrong width or length, or integer features.

    Notes
    -----
    "Cooperative Graph Neural Networks", arXiv:2310.01267.

    Examples
    --------
    >>> import graphkit, dgl
    >>> ActionNet(4)(dgl.graph(([0, 1], [1, 2])), torch.ones(3, 4)).shape
    torch.Size([3, 2])
    """

    def __init__(self, in_feats: int, hidden: int = 16, num_layers: int = 1, aggregator: str = "mean") -> None:
        super().__init__(in_feats, 2)
        check_size("num_layers", num_layers)
        check_size("hidden", hidden)
        widths = [in_feats, *[hidden] * (num_layers - 1), 2]
        self.convs = nn.ModuleList(SAGEConv(a, b, aggregator) for a, b in itertools.pairwise(widths))

    def forward(
        self,
        graph: dgl.DGLGraph,
        feat: Tensor,
        edge_feat: Tensor | None = None,
        edge_weight: Tensor | None = None,
        etype: Tensor | None = None,
    ) -> Tensor:
        """Return ``[N, 2]`` for ``feat [N, in_feats]`` and ``edge_weight [E]``."""
        h = self.convs[0](graph, feat, edge_weight=edge_weight)
        for conv in self.convs[1:]:
            h = conv(graph, F.relu(h), edge_weight=edge_weight)
        return h


@register(
    "cognnconv",
    kind="layer",
    title="Cooperative Graph Neural Networks",
    arxiv="2310.01267",
    declines={"blocks": CHOOSES_BY_ITS_SOURCES, "gradients": STEPS},
    traits={"random"},
    example={"learn_tau": True},
)
class CoGNNConv(Layer):
    """A layer on the edges that their ends agree on: ``h_v = env(x_v, {b_u l_v w_uv x_u})``, ``b, l`` in {0, 1}.

    ``l_v`` (v listens) and ``b_u`` (u broadcasts) are drawn from the two numbers that ``listen`` and ``broadcast`` give
    each node: Gumbel-softmax, straight through; so a node does both, one or neither (isolates itself). Its own row is
    kept whatever it does, and a mean divides by all its edges, kept or not.

    Parameters
    ----------
    in_feats, out_feats : int
    env : Layer, optional
        Layer of these widths that honours ``edge_weight``; ``SAGEConv``, the paper's mean network, without.
    listen, broadcast : nn.Module, optional
        Called as ``net(graph, feat, edge_weight=...) -> [N, 2]``; an :class:`ActionNet` each without. The paper shares
        both among all layers: give them the same two.
    tau : float, default 0.5
        Temperature, at least 0.01 (the authors' fixed one, at which few nodes have a gradient).
    learn_tau : bool, default False
        Each node has its own, ``tau_v = 1 / (softplus(a . x_v) + tau)``, ``a`` learned.
    evaluate : str, default "argmax"
        In eval mode a node takes its likelier action, or draws (``"sample"``).

    Raises
    ------
    GraphKitError
        On a block, for a ``tau`` below 0.01, an ``env`` of other widths, a wrong width or length, or integer features.

    Examples
    --------
    >>> import graphkit, dgl
    >>> CoGNNConv(4, 2)(dgl.graph(([0, 1], [1, 2])), torch.ones(3, 4)).shape
    torch.Size([3, 2])
    """

    def __init__(
        self, in_feats: int, out_feats: int, env: Layer | None = None, listen: nn.Module | None = None,
        broadcast: nn.Module | None = None, tau: float = 0.5, learn_tau: bool = False, evaluate: str = "argmax",
    ) -> None:  # fmt: skip
        env = SAGEConv(in_feats, out_feats) if env is None else env
        super().__init__(in_feats, out_feats, env.edge_feats, env.num_rels or None)
        check_choice("evaluate", evaluate, ("argmax", "sample"))
        if tau < LEAST_TAU:
            raise GraphKitError(f"tau={tau} leaves no gradient; expected a temperature of at least {LEAST_TAU}")
        if (env.in_feats, env.out_feats) != (in_feats, out_feats):
            raise GraphKitError(f"env maps {env.in_feats} to {env.out_feats}; expected {in_feats} to {out_feats}")
        self.env, self.tau, self.evaluate = env, tau, evaluate
        self.listen = ActionNet(in_feats) if listen is None else listen
        self.broadcast = ActionNet(in_feats) if broadcast is None else broadcast
        self.fc_tau = nn.Linear(in_feats, 1, bias=False) if learn_tau else None

    def actions(self, graph: dgl.DGLGraph, feat: Tensor, edge_weight: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Return who listens and who broadcasts, 0 or 1 each, ``[N]`` and ``[N]``."""
        logits = [net(graph, feat, edge_weight=edge_weight) for net in (self.listen, self.broadcast)]
        if not self.training and self.evaluate == "argmax":
            listens, broadcasts = ((two[:, 0] >= two[:, 1]).to(feat) for two in logits)
            return listens, broadcasts
        tau: Tensor | float = self.tau
        if self.fc_tau is not None:
            tau = (F.softplus(self.fc_tau(feat)) + self.tau).reciprocal()
        listens, broadcasts = (_draw(two, tau) for two in logits)
        return listens, broadcasts

    def forward(
        self,
        graph: dgl.DGLGraph,
        feat: Tensor,
        edge_feat: Tensor | None = None,
        edge_weight: Tensor | None = None,
        etype: Tensor | None = None,
    ) -> Tensor:
        """Return ``[N, out_feats]`` for ``feat [N, in_feats]``, ``edge_weight [E]`` and what ``env`` reads."""
        self.refuse_blocks(graph, CHOOSES_BY_ITS_SOURCES)
        self.check(graph, feat, edge_feat, edge_weight, etype)
        listens, broadcasts = self.actions(graph, feat, edge_weight)
        kept = ops.sddmm(graph, broadcasts, listens, "mul")  # [E]
        return self.env(graph, feat, edge_feat, scale(kept, edge_weight), etype)


def _draw(logits: Tensor, tau: Tensor | float) -> Tensor:
    """Draw 1 where column 0 wins, with the slope of its softmax, ``[N]``."""
    noise = -torch.empty_like(logits).exponential_().log()
    soft = torch.softmax((logits + noise) / tau, -1)[:, 0]
    hard = (soft.detach() >= 0.5).to(soft)
    return hard + (soft - soft.detach())
