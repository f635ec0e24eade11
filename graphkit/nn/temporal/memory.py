"""A row of memory for each node, changed by messages that wait until the node is next needed."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from graphkit.core.check import check_choice, check_size
from graphkit.nn.temporal.code import TimeEncode
from graphkit.nn.temporal.state import Clocks
from graphkit.sampling.temporal import Events

UPDATERS = {"gru": nn.GRUCell, "rnn": nn.RNNCell}


class NodeMemory(Clocks):
    r"""Keep a state for each node; an event's message waits with both its ends until they are read next.

    .. math:: m_u = [s_u \| s_v \| \Phi(t - l_u) \| x], \quad \tilde s_u = \mathrm{GRU}(m_u, s_u), \quad \tilde l_u = t

    Messages that wait are applied with a gradient by :meth:`peek`, so that the cell learns from the events before;
    nothing is stored then. :meth:`observe` stores, without a gradient: what waits with the ends of events is applied, and
    their messages wait in its place. All state is in buffers.

    Parameters
    ----------
    num_nodes, dim : int
        N and d.
    edge_feats : int, default 0
        Width of x.
    time_dim : int, default 100
    updater : str, default "gru"
        ``gru`` or ``rnn`` (tanh).
    aggregator : str, default "last"
        Of several messages to a node in one run: the newest (by time, then edge id), or their ``mean``, whose codes of
        time then get no gradient.

    Notes
    -----
    "Temporal Graph Networks for Deep Learning on Dynamic Graphs", arXiv 2006.10637.

    Examples
    --------
    >>> memory = NodeMemory(4, 3)
    >>> memory.observe(Events(torch.tensor([0]), torch.tensor([1]), torch.tensor([7]), torch.tensor([0])))
    >>> state, last = memory.peek(torch.tensor([0, 2]))
    >>> state.shape, last.tolist(), state[1].tolist()
    (torch.Size([2, 3]), [7.0, 0.0], [0.0, 0.0, 0.0])
    """

    clocks = ("last", "newest")
    state: Tensor
    last: Tensor
    raw: Tensor
    gap: Tensor
    newest: Tensor
    waiting: Tensor

    def __init__(
        self,
        num_nodes: int,
        dim: int,
        edge_feats: int = 0,
        time_dim: int = 100,
        updater: str = "gru",
        aggregator: str = "last",
    ) -> None:
        super().__init__()
        check_size("num_nodes", num_nodes)
        check_size("dim", dim)
        check_choice("updater", updater, UPDATERS)
        check_choice("aggregator", aggregator, ("last", "mean"))
        self.num_nodes, self.dim, self.edge_feats, self.aggregator = num_nodes, dim, edge_feats, aggregator
        self.time = TimeEncode(time_dim)
        self.cell = UPDATERS[updater](2 * dim + time_dim + edge_feats, dim)
        self.register_buffer("state", torch.zeros(num_nodes, dim))
        self.register_buffer("last", torch.zeros(num_nodes, dtype=torch.float64))
        self.register_buffer("raw", torch.zeros(num_nodes, 2 * dim + edge_feats))
        self.register_buffer("gap", torch.zeros(num_nodes, time_dim if aggregator == "mean" else 1))
        self.register_buffer("newest", torch.zeros(num_nodes, dtype=torch.float64))
        self.register_buffer("waiting", torch.zeros(num_nodes, dtype=torch.bool))

    def reset(self) -> None:
        """Set all states to zero, as before the first event."""
        for buffer in (self.state, self.last, self.raw, self.gap, self.newest, self.waiting):
            buffer.zero_()

    def messages(self, ids: Tensor) -> Tensor:
        """Return the message that waits with each node, ``[Q, 2 dim + time_dim + edge_feats]``."""
        code = self.gap[ids] if self.aggregator == "mean" else self.time(self.gap[ids, 0])
        return torch.cat([self.raw[ids], code], dim=-1)

    def peek(self, ids: Tensor) -> tuple[Tensor, Tensor]:
        """Return the states of nodes after the messages that wait with them, and the times of their newest events.

        Parameters
        ----------
        ids : Tensor
            int64 ``[Q]``.

        Returns
        -------
        state : Tensor
            ``[Q, dim]``, with a gradient to cell and time code.
        last : Tensor
            float64 ``[Q]``.
        """
        old, waiting = self.state[ids], self.waiting[ids]
        rows = waiting.nonzero()[:, 0]
        if not len(rows):
            return old, self.last[ids]
        new = self.cell(self.messages(ids[rows]), old[rows])
        return old.index_copy(0, rows, new), torch.where(waiting, self.newest[ids], self.last[ids])

    def apply_waiting(self, ids: Tensor) -> None:
        """Store the states of nodes after the messages that wait with them."""
        state, last = self.peek(ids)
        self.state[ids], self.last[ids] = state, last
        self.waiting[ids] = False

    @torch.no_grad()
    def observe(self, events: Events) -> None:
        """Apply what waits with the ends of events, and let the messages of these wait.

        Parameters
        ----------
        events : Events
            Of one run, in the order of time; all their messages are made from the states before it.
        """
        src, dst = events.src, events.dst
        ends, place = torch.unique(torch.cat([src, dst]), return_inverse=True)
        self.apply_waiting(ends)
        both, other = torch.cat([src, dst]), torch.cat([dst, src])
        time = events.time.double().repeat(2)
        feat = self.raw.new_zeros(len(both), 0) if events.feat is None else events.feat.repeat(2, 1)
        raw = torch.cat([self.state[both], self.state[other], feat[:, : self.edge_feats]], dim=-1)
        gap = (time - self.last[both]).to(self.raw.dtype)
        # The newest message of each end: the greatest place in the run, which is in the order of time, then of edge id.
        rank = torch.arange(len(src), device=src.device).repeat(2)
        top = torch.zeros_like(ends).scatter_reduce_(0, place, rank, "amax", include_self=False)
        first = (rank == top[place]).nonzero()[:, 0].flip(0)  # of a loop's two messages, which are alike, either
        if self.aggregator == "last":
            self.raw[both[first]], self.gap[both[first], 0] = raw[first], gap[first]
        else:
            count = place.bincount(minlength=len(ends)).to(raw.dtype)[:, None]
            for buffer, value in ((self.raw, raw), (self.gap, self.time(gap))):
                buffer[ends] = value.new_zeros(len(ends), value.shape[1]).index_add(0, place, value) / count
        self.newest[both[first]] = time[first]
        self.waiting[ends] = True
