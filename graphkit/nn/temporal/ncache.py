"""N-caches: for each node a small dictionary of sampled past neighbours, whose keys tell what two nodes share."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from graphkit._kernels import ncache as kernels
from graphkit.core.check import check_ids, check_size
from graphkit.core.errors import GraphKitError
from graphkit.nn.temporal.code import TimeEncode
from graphkit.sampling import Events


class Joint(NamedTuple):
    """What two dictionaries hold together, the G keys of all pairs behind each other.

    Parameters
    ----------
    key : Tensor
        Node ids, int64 ``[G]``.
    mask : Tensor
        Where a key stands, int64 ``[G]``: bits 0 to 2 for the first node itself, its near, its far slots; bits 3 to 5
        for the second.
    offsets : Tensor
        int64 ``[P + 1]``: pair p has the keys ``offsets[p] : offsets[p + 1]``.
    source : Tensor
        The key of each entry of both dictionaries, int64 ``[P, 2 (1 + M1 + M2)]``, -1 for empty slots.
    """

    key: Tensor
    mask: Tensor
    offsets: Tensor
    source: Tensor


class NCache(nn.Module):
    r"""Keep, for each node, a vector of itself and slots of whom it met (near) and whom these had met (far).

    A neighbour a goes to slot :math:`(c_1 a + c_2 a^2) \bmod M`. It is written if the slot is empty or holds a, else
    with probability ``replace``, so a key survives m colliding writes with probability :math:`(1 - replace)^m`. After
    an event (u, v, t) with features x:

    .. math:: z_u \leftarrow \mathrm{GRU}_s(W_s [z_v \| x \| \Phi(\Delta)], z_u), \qquad
              n_{u, v} \leftarrow \mathrm{GRU}_n(W_n [z_v \| x \| \Phi(\Delta)], n_{u, v})

    where n begins at 0 for a new key, and the far slots of u take the near slots of v with their values. Delta is the
    time since the last write, where the authors' code has the absolute time. Both updates wait until the slot is next
    read, so that gradients flow through one step; what is stored carries none. Of several writes to a slot in one run
    the last counts, by time, then edge id.

    Parameters
    ----------
    num_nodes : int
    edge_feats : int, default 0
    sizes : tuple of int, default (32, 16)
        M of the near and the far slots; 0 leaves a hop out.
    dim, self_dim : int
        F of a slot's value and of z.
    time_dim : int, default 1
    replace : float, default 0.9
    seed : int, default 0
        Of the hash and of the draws.

    Raises
    ------
    GraphKitError
        If a size is negative, far slots come without near ones, or ``replace`` is no probability.

    Examples
    --------
    >>> cache, one = NCache(5), torch.tensor([0])
    >>> cache.observe(Events(one, one + 3, one, one))
    >>> int(cache.neighbors(one)[0].max())
    3
    """

    value: Tensor
    other: Tensor
    gap: Tensor
    feat: Tensor
    fresh: Tensor
    near: Tensor
    near_gap: Tensor
    near_feat: Tensor
    near_fresh: Tensor
    near_value: Tensor
    far: Tensor
    far_value: Tensor
    #: Buffers of one row a node, and of one row a slot.
    OWN = ("other", "last", "gap", "edge", "fresh")
    NEAR = ("near", "near_last", "near_gap", "near_edge", "near_fresh", "near_value")

    def __init__(
        self,
        num_nodes: int,
        edge_feats: int = 0,
        sizes: tuple[int, int] = (32, 16),
        dim: int = 4,
        self_dim: int = 72,
        time_dim: int = 1,
        replace: float = 0.9,
        seed: int = 0,
    ) -> None:
        super().__init__()
        for name, size, least in (("num_nodes", num_nodes, 1), ("dim", dim, 1), ("self_dim", self_dim, 1)):
            check_size(name, size, least)
        if len(sizes) != 2 or min(sizes) < 0 or (sizes[1] and not sizes[0]):
            raise GraphKitError(
                f"sizes={tuple(sizes)}; expected near and far slots, and no far slots without near ones"
            )
        if not 0 <= replace <= 1:
            raise GraphKitError(f"replace={replace} is no probability")
        self.edge_feats, self.dim, self.replace, self.seed = edge_feats, dim, replace, seed
        self.sizes, self.hash = tuple(sizes), (1 + seed % 100, 2 + seed % 100)
        self.time = TimeEncode(time_dim)
        wide = self_dim + edge_feats + time_dim
        self.self_map, self.self_cell = nn.Linear(wide, self_dim, bias=False), nn.GRUCell(self_dim, self_dim)
        if sizes[0]:
            self.near_map, self.near_cell = nn.Linear(wide, dim, bias=False), nn.GRUCell(dim, dim)
        self._make_buffers(num_nodes, self_dim)

    def _make_buffers(self, nodes: int, self_dim: int) -> None:
        for prefix, shape in (("", (nodes,)), ("near_", (nodes, self.sizes[0]))):
            for name, kind in (("last", torch.float64), ("gap", torch.float64), ("edge", torch.int64)):
                self.register_buffer(prefix + name, torch.zeros(shape, dtype=kind))
            self.register_buffer(prefix + "fresh", torch.zeros(shape, dtype=torch.bool))
            self.register_buffer(prefix + "feat", torch.zeros(*shape, self.edge_feats))
        for name, shape in (("other", (nodes,)), ("near", (nodes, self.sizes[0])), ("far", (nodes, self.sizes[1]))):
            self.register_buffer(name, torch.zeros(shape, dtype=torch.int64))
        self.register_buffer("value", torch.zeros(nodes, self_dim))
        for name, slots in (("near_value", self.sizes[0]), ("far_value", self.sizes[1])):
            self.register_buffer(name, torch.zeros(nodes, slots, self.dim))

    def reset(self) -> None:
        """Empty all slots, as before the first event."""
        for buffer in self.buffers():
            buffer.zero_()

    def own(self, ids: Tensor) -> Tensor:
        """Return z of nodes after what waits with them, ``[Q, self_dim]``, with a gradient to the cell."""
        old, rows = self.value[ids], self.fresh[ids].nonzero()[:, 0]
        if not len(rows):
            return old
        at = ids[rows]
        told = torch.cat([self.value[self.other[at] - 1], self.feat[at], self.time(self.gap[at])], dim=-1)
        return old.index_copy(0, rows, self.self_cell(self.self_map(told), old[rows]))

    def near_values(self, ids: Tensor) -> Tensor:
        """Return the values of near slots after what waits with them, ``[Q, M1, F]``, with a gradient to the cell."""
        old = self.near_value[ids]
        fresh = self.near_fresh[ids].reshape(-1).nonzero()[:, 0]
        if not len(fresh):
            return old
        at, slot = ids[fresh // self.sizes[0]], fresh % self.sizes[0]
        told = [self.value[self.near[at, slot] - 1], self.near_feat[at, slot], self.time(self.near_gap[at, slot])]
        flat = old.reshape(-1, self.dim)
        new = self.near_cell(self.near_map(torch.cat(told, dim=-1)), flat[fresh])
        return flat.index_copy(0, fresh, new).view_as(old)

    def neighbors(self, ids: Tensor) -> tuple[Tensor, Tensor]:
        """Return the keys of the near slots of nodes, int64 ``[Q, M1]``, and of the far slots, -1 where empty."""
        check_ids("ids", ids, len(self.value))
        return self.near[ids] - 1, self.far[ids] - 1

    def settle(self, ids: Tensor) -> None:
        """Store what waits with nodes."""
        self.value[ids], self.near_value[ids] = self.own(ids), self.near_values(ids)
        self.fresh[ids], self.near_fresh[ids] = False, False

    @torch.no_grad()
    def observe(self, events: Events) -> None:
        """Store what waits with the ends of events, and write these."""
        ends = torch.unique(torch.cat([events.src, events.dst]))
        self.settle(ends)
        own, near, far = self._arrays(self.OWN), self._arrays(self.NEAR), self._arrays(("far", "far_value"))
        columns = [x.cpu().contiguous().numpy() for x in (events.src, events.dst, events.edge)]
        time = events.time.double().cpu().numpy()
        seed = np.uint64(self.seed)
        kernels.write_events(*columns, time, own, near, far, self.replace, seed, *self.hash)
        if self.value.is_cuda:
            for name, array in zip((*self.OWN, *self.NEAR, "far", "far_value"), (*own, *near, *far), strict=True):
                getattr(self, name).copy_(torch.from_numpy(array))
        if self.edge_feats and events.feat is not None:
            for prefix in ("", "near_"):
                fresh, edge = getattr(self, prefix + "fresh")[ends], getattr(self, prefix + "edge")[ends]
                rows = events.feat[torch.searchsorted(events.edge, edge).clamp(max=len(events) - 1)]
                getattr(self, prefix + "feat")[ends] = rows * fresh[..., None]

    def _arrays(self, names: tuple[str, ...]) -> tuple[np.ndarray, ...]:
        """Return buffers as arrays, which share their memory where they are on the CPU."""
        return tuple(getattr(self, name).cpu().numpy() for name in names)

    def joint(self, u: Tensor, v: Tensor) -> Joint:
        """Return what the dictionaries of each pair hold together.

        Parameters
        ----------
        u, v : Tensor
            int64 ``[P]``.

        Raises
        ------
        GraphKitError
            If an id is out of range.
        """
        for name, ids in (("u", u), ("v", v)):
            check_ids(name, ids, len(self.value))
        wide, nodes = 2 * (1 + sum(self.sizes)), len(self.value) + 1
        most = len(u) * wide
        owner, key, mask = (np.empty(most, dtype=np.int64) for _ in range(3))
        source, tally, place = np.empty((len(u), wide), np.int64), np.zeros(nodes, np.int64), np.zeros(nodes, np.int64)
        asked = [ids.cpu().contiguous().numpy() for ids in (u, v)]
        count = kernels.join(*asked, *self._arrays(("near", "far")), tally, place, owner, key, mask, source)
        offsets = np.searchsorted(owner[:count], np.arange(len(u) + 1))
        return Joint(*(torch.from_numpy(x).to(u.device) for x in (key[:count], mask[:count], offsets, source)))
