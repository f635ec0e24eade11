"""Predict where a memory was going and correct what a large batch made of it: PRES, a plug-in on node memories."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from graphkit.core.check import check_ids, check_rows, check_size
from graphkit.core.errors import GraphKitError
from graphkit.nn.temporal.memory import NodeMemory


class PRESFilter(nn.Module):
    r"""Blend the memory that an updater computed with the one that past increments predict.

    .. math:: \hat{s}_i(t_2) = s_i(t_1) + (t_2 - t_1)\, \delta_i, \quad
              \bar{s}_i(t_2) = \gamma\, \hat{s}_i(t_2) + (1 - \gamma)\, s_i(t_2)

    with delta_i the mean increment of node i per unit of time, from running sums over its past updates, kept for each
    type of event:

    .. math:: \delta = \frac{\bar{s}_i(t_2) - s_i(t_1)}{t_2 - t_1}, \quad n_i \leftarrow n_i + 1, \;
              \xi_i \leftarrow \xi_i + \delta, \; \psi_i \leftarrow \psi_i + \delta^2, \quad
              \mu_i = \xi_i / n_i, \; \sigma_i^2 = \psi_i / n_i - \mu_i^2

    gamma is the weight of the *prediction*: 0 leaves the memory alone, 1 trusts the prediction only. A node without a
    past has nothing to predict from and keeps what was computed. The sums carry no gradient; they are buffers, so that
    they are saved, and :meth:`reset` empties them where the memory is emptied.

    A mean of ratios is ruled by its shortest gaps: one update after a gap of 1 outweighs a hundred after gaps of 100,
    and what it says is then stretched over the next gap. With ``by_time`` an increment counts by the time that it
    took, :math:`\mu_i = \sum \Delta s / \sum \Delta t`, which is the same where gaps are equal.

    Parameters
    ----------
    num_nodes, dim : int
        N nodes with a memory of D columns each.
    num_types : int, default 1
        K types of events, each with increments of its own; the paper keeps true and false events apart, of which only
        the true ones update a memory here.
    gamma : float, default 0.5
        In [0, 1].
    learnable : bool, default False
        Learn gamma through a sigmoid, from the value given.
    by_time : bool, default False
        Weigh increments by the time they took.

    Raises
    ------
    GraphKitError
        If a size is not positive or gamma is out of range.

    References
    ----------
    "PRES: Toward Scalable Memory-Based Dynamic Graph Neural Networks", arXiv:2402.04284.

    Examples
    --------
    >>> pres, one = PRESFilter(1, 1, gamma=1.0), torch.tensor([0])
    >>> pres.track(one, torch.tensor([[0.0]]), torch.tensor([[4.0]]), torch.tensor([2.0]))
    >>> pres(one, torch.tensor([[4.0]]), torch.tensor([[9.0]]), torch.tensor([3.0])).tolist()
    [[10.0]]
    """

    count: Tensor
    total: Tensor
    square: Tensor

    def __init__(
        self,
        num_nodes: int,
        dim: int,
        num_types: int = 1,
        gamma: float = 0.5,
        learnable: bool = False,
        by_time: bool = False,
    ) -> None:
        super().__init__()
        for name, value in (("num_nodes", num_nodes), ("dim", dim), ("num_types", num_types)):
            check_size(name, value)
        if not (0 <= gamma <= 1) or (learnable and gamma in (0, 1)):
            raise GraphKitError(f"gamma={gamma} is no weight of the prediction; expected a number in [0, 1]")
        weight = torch.tensor(float(gamma))
        self.logit = nn.Parameter(weight.logit()) if learnable else None
        self.fixed, self.by_time = float(gamma), by_time
        self.register_buffer("count", torch.zeros(num_nodes, num_types))
        for name in ("total", "square"):
            self.register_buffer(name, torch.zeros(num_nodes, num_types, dim))

    @property
    def gamma(self) -> Tensor | float:
        """The weight of the prediction."""
        return self.fixed if self.logit is None else self.logit.sigmoid()

    def reset(self) -> None:
        """Forget all increments; do it wherever the memory is emptied, or the tracker would know the future."""
        for sums in (self.count, self.total, self.square):
            sums.zero_()

    def statistics(self, ids: Tensor, kind: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Return mean and variance of the increments of ``ids``, ``[B, D]`` each; 0 where there are none."""
        check_ids("ids", ids, len(self.count))
        kind = torch.zeros_like(ids) if kind is None else kind
        n = self.count[ids, kind][:, None]
        n = torch.where(n > 0, n, 1)
        mean = self.total[ids, kind] / n
        return mean, (self.square[ids, kind] / n - mean.square()).clamp(min=0)

    def forward(self, ids: Tensor, before: Tensor, after: Tensor, gap: Tensor, kind: Tensor | None = None) -> Tensor:
        """Return the corrected memory ``[B, D]``.

        Parameters
        ----------
        ids : Tensor
            Nodes, each once, int64 ``[B]``.
        before, after : Tensor
            Their memories at the last update and as computed now, ``[B, D]``.
        gap : Tensor
            Time between the two, ``[B]``.
        kind : Tensor, optional
            Type of the event, int64 ``[B]``; 0 for all without.

        Raises
        ------
        GraphKitError
            If an id is out of range or rows do not fit.
        """
        check_rows("gap", gap, len(ids), "nodes")
        check_rows("after", after, len(ids), "nodes")
        mean, _ = self.statistics(ids, kind)
        known = self.count[ids, torch.zeros_like(ids) if kind is None else kind] > 0
        guess = before + gap.to(before)[:, None] * mean.to(before)
        mixed = self.gamma * guess + (1 - self.gamma) * after
        return torch.where(known[:, None], mixed, after)

    @torch.no_grad()
    def track(self, ids: Tensor, before: Tensor, after: Tensor, gap: Tensor, kind: Tensor | None = None) -> None:
        """Add the increments per unit of time that led from ``before`` to ``after``; gaps of 0 tell nothing."""
        check_ids("ids", ids, len(self.count))
        kind = torch.zeros_like(ids) if kind is None else kind
        moved = gap > 0
        place = (ids[moved], kind[moved])
        took = gap[moved].to(self.total)
        step = (after - before)[moved].to(self.total) / took[:, None]
        weight = took if self.by_time else torch.ones_like(took)
        self.count.index_put_(place, weight, accumulate=True)
        self.total.index_put_(place, weight[:, None] * step, accumulate=True)
        self.square.index_put_(place, weight[:, None] * step.square(), accumulate=True)


def coherence_loss(before: Tensor, after: Tensor) -> Tensor:
    r"""Say how far memories turned away from what they were.

    .. math:: 1 - \frac{1}{B} \sum_i \cos(s_i(t^-), s_i(t))

    Parameters
    ----------
    before, after : Tensor
        ``[B, D]``; nodes whose memory was empty have no direction yet and do not count.

    Returns
    -------
    Tensor
        A scalar from 0 to 2; 0 where no node counts.

    Raises
    ------
    GraphKitError
        If shapes differ.

    References
    ----------
    "PRES: Toward Scalable Memory-Based Dynamic Graph Neural Networks", arXiv:2402.04284.

    Examples
    --------
    >>> float(coherence_loss(torch.tensor([[1.0, 0.0], [0.0, 0.0]]), torch.tensor([[0.0, 3.0], [1.0, 1.0]])))
    1.0
    """
    if before.shape != after.shape or before.dim() != 2:
        raise GraphKitError(f"memories have shapes {list(before.shape)} and {list(after.shape)}; expected [B, D] each")
    known = before.detach().square().sum(-1) > 0
    if not bool(known.any()):
        return after.sum() * 0.0
    return 1 - F.cosine_similarity(before[known], after[known], dim=-1).mean()


class PRESMemory(NodeMemory):
    """A node memory whose updates are corrected by a :class:`PRESFilter`, in all else the one that it is made of.

    Parameters
    ----------
    memory : NodeMemory
        Its sizes and weights are taken over.
    gamma, learnable, by_time
        As of :class:`PRESFilter`.

    Attributes
    ----------
    turned : list of pair of Tensor
        Memories before and after each update that was read with a gradient since the list was last emptied.

    Examples
    --------
    >>> PRESMemory(NodeMemory(4, 3), gamma=0.2).pres.gamma
    0.2
    """

    def __init__(self, memory: NodeMemory, gamma: float = 0.5, learnable: bool = False, by_time: bool = False) -> None:
        updater = "gru" if isinstance(memory.cell, nn.GRUCell) else "rnn"
        sizes = memory.num_nodes, memory.dim, memory.edge_feats, memory.time.dim
        with torch.random.fork_rng(devices=[]):  # what is drawn here is replaced at once
            super().__init__(*sizes, updater, memory.aggregator)
        self.load_state_dict(memory.state_dict())
        self.pres = PRESFilter(memory.num_nodes, memory.dim, 1, gamma, learnable, by_time)
        self.turned: list[tuple[Tensor, Tensor]] = []

    def reset(self) -> None:
        """Set all states to zero, and forget all increments."""
        super().reset()
        self.pres.reset()
        self.turned.clear()

    def peek(self, ids: Tensor) -> tuple[Tensor, Tensor]:
        """Return corrected states ``[Q, dim]`` and times ``[Q]``, see :meth:`NodeMemory.peek`."""
        old, waiting = self.state[ids], self.waiting[ids]
        rows = waiting.nonzero()[:, 0]
        if not len(rows):
            return old, self.last[ids]
        at = ids[rows]
        computed = self.cell(self.messages(at), old[rows])
        new = self.pres(at, old[rows], computed, self.newest[at] - self.last[at])
        if torch.is_grad_enabled():
            self.turned.append((old[rows], new))
        return old.index_copy(0, rows, new), torch.where(waiting, self.newest[ids], self.last[ids])

    def apply_waiting(self, ids: Tensor) -> None:
        """Store the corrected states of nodes, each once, and track how they moved."""
        rows = self.waiting[ids].nonzero()[:, 0]
        at = ids[rows]
        before, since = self.state[at], self.last[at]
        super().apply_waiting(ids)
        self.pres.track(at, before, self.state[at], self.last[at] - since)

    def coherence(self) -> Tensor:
        """Return the coherence loss of the updates in :attr:`turned`, a scalar, and empty the list."""
        if not self.turned:
            return self.state.new_zeros(())
        before, after = (torch.cat(part) for part in zip(*self.turned, strict=True))
        self.turned.clear()
        return coherence_loss(before, after)
