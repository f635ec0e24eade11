"""Two memories of each node, of friends and of foes, which the sign of an event joins as balance theory says."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from graphkit.core.check import check_size
from graphkit.core.errors import GraphKitError
from graphkit.nn.temporal.code import TimeEncode
from graphkit.nn.temporal.state import GrowingState
from graphkit.sampling import Events


class SignedMemory(GrowingState):
    r"""Keep a friendly and a hostile state for each node; an event's sign says which of the partner's feeds which.

    For an event (u, v, t) of sign s and size r, and :math:`\phi(a, b) = [a \| b \| r \| \Phi(t - l_u^s)]`:

    .. math:: s = +: \; msg_u^+ = \phi(m_u^+, m_v^+), \; msg_u^- = \phi(m_u^-, m_v^-); \qquad
              s = -: \; msg_u^+ = \phi(m_u^+, m_v^-), \; msg_u^- = \phi(m_u^-, m_v^+)

    and the same for v. A node's messages of one run are averaged, then
    :math:`m_u^\pm \leftarrow \mathrm{GRU}^\pm(\overline{msg}{}_u^\pm, m_u^\pm)`. They wait until the states are next
    read, when a gradient flows through the cells; what is stored carries none. Each node keeps the time of its last
    positive and of its last negative event; the time since is 0 before the first.

    Parameters
    ----------
    num_nodes, dim : int
        N and d; all states begin at 0.
    time_dim : int, default 32
    balanced : bool, default True
        False leaves balance theory out: an event changes the states of its own sign only, from the partner's of that
        sign.

    Raises
    ------
    GraphKitError
        If a size is not positive, or events have no signs or signs of 0.

    References
    ----------
    "Representation Learning in Continuous-Time Dynamic Signed Networks", arXiv:2207.03408.

    Examples
    --------
    >>> memory, one = SignedMemory(3, 4), torch.tensor([0])
    >>> memory.observe(Events(one, one + 1, one + 7, one, None, {"sign": one - 1}))
    >>> memory.peek(torch.tensor([0, 2])).shape
    torch.Size([2, 2, 4])
    """

    growing = ("src", "dst", "sign", "size", "time_of")
    state: Tensor
    last: Tensor
    src: Tensor
    dst: Tensor
    sign: Tensor
    size: Tensor
    time_of: Tensor

    def __init__(self, num_nodes: int, dim: int, time_dim: int = 32, balanced: bool = True) -> None:
        super().__init__()
        check_size("num_nodes", num_nodes)
        check_size("dim", dim)
        self.dim, self.balanced = dim, balanced
        self.code = TimeEncode(time_dim)
        self.cells = nn.ModuleList(nn.GRUCell(2 * dim + 1 + time_dim, dim) for _ in range(2))
        self.register_buffer("state", torch.zeros(num_nodes, 2, dim))
        self.register_buffer("last", torch.full((num_nodes, 2), -torch.inf, dtype=torch.float64))
        self._empty()

    def _empty(self) -> None:
        """Let nothing wait."""
        for name in self.growing:
            kind = {"size": self.state.dtype, "time_of": torch.float64}.get(name, torch.int64)
            self.register_buffer(name, torch.empty(0, dtype=kind, device=self.state.device))

    def reset(self) -> None:
        """Set all states to 0."""
        self.state.zero_()
        self.last.fill_(-torch.inf)
        self._empty()

    def messages(self) -> tuple[Tensor, Tensor, Tensor]:
        """Return whom each waiting message is for, which of its states (both int64 ``[M]``), and itself, ``[M, W]``."""
        own, other = torch.cat([self.src, self.dst]), torch.cat([self.dst, self.src])
        sign, size, when = (column.repeat(2) for column in (self.sign, self.size, self.time_of))
        hostile = (sign < 0).long()
        gap = when - self.last[own, hostile]
        rest = torch.cat([size[:, None], self.code(torch.where(gap.isfinite(), gap, 0.0))], dim=-1)
        kinds, made = [], []
        for which in (0, 1):
            partner = which ^ hostile if self.balanced else hostile
            made.append(torch.cat([self.state[own, which], self.state[other, partner], rest], dim=-1))
            kinds.append(torch.full_like(own, which))
        owner, kind, message = own.repeat(2), torch.cat(kinds), torch.cat(made)
        if self.balanced:
            return owner, kind, message
        mine = kind == hostile.repeat(2)
        return owner[mine], kind[mine], message[mine]

    def flushed(self) -> tuple[Tensor, Tensor]:
        """Return the nodes with which messages wait, int64 ``[W]``, rising, and their next states, ``[W, 2, d]``."""
        owner, kind, message = self.messages()
        nodes, place = torch.unique(owner, return_inverse=True)
        slot = 2 * place + kind
        count = slot.bincount(minlength=2 * len(nodes))
        total = message.new_zeros(2 * len(nodes), message.shape[1]).index_add(0, slot, message)
        mean = (total / count.clamp(min=1)[:, None].to(total)).view(len(nodes), 2, -1)
        old, told = self.state[nodes], (count > 0).view(-1, 2)
        new = torch.stack([cell(mean[:, i], old[:, i]) for i, cell in enumerate(self.cells)], 1)
        return nodes, torch.where(told[..., None], new, old)

    def peek(self, ids: Tensor) -> Tensor:
        """Return both states of nodes after what waits, ``[Q, 2, d]``, with a gradient to the cells."""
        if not len(self.src):
            return self.state[ids]
        nodes, new = self.flushed()
        at = torch.searchsorted(nodes, ids).clamp(max=len(nodes) - 1)
        return torch.where((nodes[at] == ids)[:, None, None], new[at], self.state[ids])

    @torch.no_grad()
    def observe(self, events: Events) -> None:
        """Store what waits, and let the messages of events wait."""
        if len(self.src):
            nodes, new = self.flushed()
            self.state[nodes] = new
            for ends in (self.src, self.dst):
                slot = 2 * ends + (self.sign < 0).long()
                self.last.view(-1).scatter_reduce_(0, slot, self.time_of, "amax")
        sign, size = signs_of(events)
        self.src, self.dst, self.sign = events.src, events.dst, sign
        self.size, self.time_of = size.to(self.state.dtype), events.time.double()


def signs_of(events: Events) -> tuple[Tensor, Tensor]:
    """Return the signs of events, int64 ``[B]``, and their sizes, ``[B]``, 1 where events have no ``weight``.

    Raises
    ------
    GraphKitError
        If events have no field ``sign``, or one is 0.

    >>> one = torch.tensor([1])
    >>> signs_of(Events(one, one, one, one, None, {"sign": -one}))
    (tensor([-1]), tensor([1.]))
    """
    fields = events.fields or {}
    if "sign" not in fields:
        raise GraphKitError("a signed memory needs the edge field 'sign', which the events do not have")
    sign = torch.sign(fields["sign"]).long()
    if bool((sign == 0).any()):
        raise GraphKitError(f"{int((sign == 0).sum())} events have the sign 0; expected 1 or -1")
    weight = fields.get("weight")
    size = torch.ones(len(sign), device=sign.device) if weight is None else weight.abs().float()
    return sign, size
