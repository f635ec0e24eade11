"""A row of memory for each node, changed by messages that wait until the node is next needed."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from graphkit.core.check import check_choice, check_size
from graphkit.nn.temporal.code import TimeEncode
from graphkit.nn.temporal.state import Clocks
from graphkit.sampling.temporal import Events

UPDATERS = {"gru": nn.GRUCell, "rnn": nn.RNNCell}


class NodeState(Clocks):
    """What is kept of each node: its state, when that was last changed, and the message that waits to change it.

    Parameters
    ----------
    num_nodes, dim : int
        N and the width of a state.
    raw_width, gap_width : int
        Of a message's rows and of what is kept of its time.

    Examples
    --------
    >>> sorted(NodeState(4, 3, 6, 1).state_dict())
    ['gap', 'last', 'newest', 'raw', 'state', 'waiting']
    """

    clocks = ("last", "newest")
    state: Tensor
    last: Tensor
    raw: Tensor
    gap: Tensor
    newest: Tensor
    waiting: Tensor

    def __init__(self, num_nodes: int, dim: int, raw_width: int, gap_width: int) -> None:
        super().__init__()
        check_size("num_nodes", num_nodes)
        check_size("dim", dim)
        self.num_nodes, self.dim = num_nodes, dim
        for name, width in (("state", dim), ("raw", raw_width), ("gap", gap_width)):
            self.register_buffer(name, torch.zeros(num_nodes, width))
        for name in ("last", "newest"):
            self.register_buffer(name, torch.zeros(num_nodes, dtype=torch.float64))
        self.register_buffer("waiting", torch.zeros(num_nodes, dtype=torch.bool))

    def reset(self) -> None:
        """Set all states to zero, as before the first event."""
        for buffer in (self.state, self.last, self.raw, self.gap, self.newest, self.waiting):
            buffer.zero_()


class NodeMemory(NodeState):
    r"""Keep a state for each node; an event's message waits with both its ends until they are read next.

    .. math:: m_u = [s_u \| s_v \| \Phi(t - l_u) \| x], \quad \tilde s_u = \mathrm{GRU}(m_u, s_u), \quad \tilde l_u = t

    Messages that wait are applied with a gradient by :meth:`peek`, so that the cell learns from the events before, and
    nothing is stored then. :meth:`observe` stores, without a gradient. All state is in buffers.

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
    >>> memory.peek(torch.tensor([0, 2]))[1].tolist()
    [7.0, 0.0]
    """

    def __init__(
        self,
        num_nodes: int,
        dim: int,
        edge_feats: int = 0,
        time_dim: int = 100,
        updater: str = "gru",
        aggregator: str = "last",
    ) -> None:
        check_choice("updater", updater, UPDATERS)
        check_choice("aggregator", aggregator, ("last", "mean"))
        super().__init__(num_nodes, dim, 2 * dim + edge_feats, time_dim if aggregator == "mean" else 1)
        self.edge_feats, self.aggregator = edge_feats, aggregator
        self.time = TimeEncode(time_dim)
        self.cell = UPDATERS[updater](2 * dim + time_dim + edge_feats, dim)

    def messages(self, ids: Tensor) -> Tensor:
        """Return the message that waits with each node, ``[Q, 2 dim + time_dim + edge_feats]``."""
        code = self.gap[ids] if self.aggregator == "mean" else self.time(self.gap[ids, 0])
        return torch.cat([self.raw[ids], code], dim=-1)

    def peek(self, ids: Tensor) -> tuple[Tensor, Tensor]:
        """Return states of nodes ``[Q, dim]`` after the messages that wait, and their newest times, float64 ``[Q]``."""
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
        """Apply what waits with the ends of events, and let the messages of these, made from those states, wait."""
        ends, place = torch.unique(torch.cat([events.src, events.dst]), return_inverse=True)
        self.apply_waiting(ends)
        leave(self, events, ends, place)


def leave(memory: NodeMemory, events: Events, ends: Tensor, place: Tensor) -> None:
    """Leave the messages of events with their ends.

    Parameters
    ----------
    memory : NodeMemory
    events : Events
        Of one run, in the order of time; all their messages are made from the states before it.
    ends, place : Tensor
        The different nodes of the events, and which of them each end is, sources first.

    Examples
    --------
    >>> memory, ids = NodeMemory(3, 2), torch.tensor([0, 1])
    >>> leave(memory, Events(ids[:1], ids[1:], torch.tensor([5]), ids[:1]), ids, ids)
    >>> memory.waiting.tolist(), memory.newest.tolist()
    ([True, True, False], [5.0, 5.0, 0.0])
    """
    src, dst = events.src, events.dst
    both, other = torch.cat([src, dst]), torch.cat([dst, src])
    time = events.time.double().repeat(2)
    feat = memory.raw.new_zeros(len(both), 0) if events.feat is None else events.feat.repeat(2, 1)
    raw = torch.cat([memory.state[both], memory.state[other], feat[:, : memory.edge_feats]], dim=-1)
    gap = (time - memory.last[both]).to(memory.raw.dtype)
    # The newest message of each end: the greatest place in the run, which is in the order of time, then of edge id.
    rank = torch.arange(len(src), device=src.device).repeat(2)
    top = torch.zeros_like(ends).scatter_reduce_(0, place, rank, "amax", include_self=False)
    first = (rank == top[place]).nonzero()[:, 0]  # of a loop's two messages, which are alike, either
    if memory.aggregator == "last":
        memory.raw[both[first]], memory.gap[both[first], 0] = raw[first], gap[first]
    else:
        count = place.bincount(minlength=len(ends)).to(raw.dtype)[:, None]
        for buffer, value in ((memory.raw, raw), (memory.gap, memory.time(gap))):
            buffer[ends] = value.new_zeros(len(ends), value.shape[1]).index_add(0, place, value) / count
    memory.newest[both[first]] = time[first]
    memory.waiting[ends] = True
