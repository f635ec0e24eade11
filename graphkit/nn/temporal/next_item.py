"""JODIE as its authors train it: two coupled recurrent nets, t-batches, and the next item's embedding as the target."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from graphkit.core.check import check_ids, check_rows, check_size
from graphkit.core.errors import GraphKitError
from graphkit.sampling.tbatch import TBatches, tbatch_loss


class Told(NamedTuple):
    """What going through some t-batches gave.

    Parameters
    ----------
    event : Tensor
        int64 ``[E]``, in the order of t-batches.
    batch : Tensor
        Number of the t-batch of each, int64 ``[E]``.
    guess, target : Tensor
        ``[E, dim + I]``; targets carry no gradient.
    smooth : Tensor
        Sum over t-batches of how far users and items moved, mean squares, a scalar.
    """

    event: Tensor
    batch: Tensor
    guess: Tensor
    target: Tensor
    smooth: Tensor


class NextItemJODIE(nn.Module):
    r"""Guess the embedding of the item that a user takes next, from states that only their own events change.

    .. math:: \hat u = u \odot (1 + w \Delta_u), \qquad
              \hat j = W [\hat u \| i_{prev} \| 1_{prev} \| 1_u] + b \;\approx\; [i \| 1_i]

    .. math:: u \leftarrow \mathrm{norm}(\mathrm{RNN}_u([i, \Delta_u, f], u)), \qquad
              i \leftarrow \mathrm{norm}(\mathrm{RNN}_i([u, \Delta_i, f], i))

    both from the states before the event; i_prev is the state that the user's last item had after that event, so that a
    guess depends on the user's own events and those that led to them, in whatever t-batches these are. All users begin
    with one learned unit vector, all items with another; one further item stands for "none yet". Delta is the time
    since the last event of the user (item), 0 before the first, standardised by :meth:`standardise`.

    Parameters
    ----------
    num_users, num_items : int
        U and I.
    dim : int, default 128
    edge_feats : int, default 0
        Width of f.

    Raises
    ------
    GraphKitError
        If a size is not positive, or users and items are not numbered as they should be.

    References
    ----------
    "Predicting Dynamic Embedding Trajectory in Temporal Interaction Networks", arXiv:1908.01207.

    Examples
    --------
    >>> model, ids = NextItemJODIE(2, 3, dim=4), torch.tensor([0, 1])
    >>> told = model.replay(TBatches(ids, ids + 2, ids), edge_feat=None)
    >>> told.guess.shape, told.batch.tolist()
    (torch.Size([2, 7]), [0, 1])
    """

    user: Tensor
    item: Tensor
    kept: Tensor
    last: Tensor
    previous: Tensor
    scale: Tensor

    def __init__(self, num_users: int, num_items: int, dim: int = 128, edge_feats: int = 0) -> None:
        super().__init__()
        for name, size in (("num_users", num_users), ("num_items", num_items), ("dim", dim)):
            check_size(name, size)
        self.num_users, self.num_items, self.dim = num_users, num_items, dim
        self.user_cell, self.item_cell = (nn.RNNCell(dim + 1 + edge_feats, dim) for _ in range(2))
        self.stretch = nn.Parameter(torch.randn(dim))
        self.first_user, self.first_item = (nn.Parameter(F.normalize(torch.rand(dim), dim=0)) for _ in range(2))
        self.guess = nn.Linear(2 * dim, dim + num_items)
        self.by_item = nn.Embedding(num_items + 1, dim + num_items)
        self.by_user = nn.Embedding(num_users, dim + num_items)
        for table in (self.by_item, self.by_user):
            nn.init.uniform_(table.weight, -1 / dim**0.5, 1 / dim**0.5)
        self.register_buffer("scale", torch.tensor([[0.0, 1.0], [0.0, 1.0]], dtype=torch.float64))
        self.reset()

    def reset(self) -> None:
        """Give users and items their first states, with a gradient to them."""
        self.user = self.first_user.expand(self.num_users, -1)
        self.item = self.first_item.expand(self.num_items, -1)
        self.kept = self.first_item.expand(self.num_users, -1)
        self.last = torch.full((self.num_users + self.num_items,), -torch.inf, dtype=torch.float64)
        self.previous = torch.full((self.num_users,), self.num_items)

    def detach(self) -> None:
        """Cut the states off from how they came about."""
        self.user, self.item, self.kept = self.user.detach(), self.item.detach(), self.kept.detach()

    def standardise(self, src: Tensor, dst: Tensor, time: Tensor) -> None:
        """Take mean and spread of the gaps of users and of items from training events, ``[E]`` each."""
        for row, ids in enumerate((src, dst)):
            order = torch.argsort(ids, stable=True)
            same = ids[order][1:] == ids[order][:-1]
            gap = torch.zeros(len(ids), dtype=torch.float64)
            gap[1:][same] = time[order].double().diff()[same]
            self.scale[row] = torch.stack([gap.mean(), gap.std(correction=0).clamp(min=1e-9)])

    def _gap(self, ids: Tensor, time: Tensor, row: int) -> Tensor:
        since = time.double() - self.last[ids]
        since = torch.where(since.isfinite(), since, 0.0)
        return ((since - self.scale[row, 0]) / self.scale[row, 1]).to(self.stretch.dtype)[:, None]

    def step(self, src: Tensor, dst: Tensor, time: Tensor, feat: Tensor | None) -> tuple[Tensor, Tensor, Tensor]:
        """Guess the items of one t-batch, then change the states of its users and items.

        Parameters
        ----------
        src : Tensor
            Users, each once, int64 ``[B]``.
        dst : Tensor
            Items, each once, from 0, int64 ``[B]``.
        time : Tensor
            ``[B]``.
        feat : Tensor, optional
            ``[B, edge_feats]``.

        Returns
        -------
        tuple of Tensor
            Guess and target, ``[B, dim + I]`` each, and how far the states moved, a scalar.
        """
        user, item = self.user[src], self.item[dst]
        gaps = self._gap(src, time, 0), self._gap(self.num_users + dst, time, 1)
        before = self.previous[src]
        rows = torch.cat([user * (1 + gaps[0] * self.stretch), self.kept[src]], dim=-1)
        guess = self.guess(rows) + self.by_item(before) + self.by_user(src)
        target = torch.cat([item.detach(), F.one_hot(dst, self.num_items).to(item)], dim=-1)
        rest = [] if feat is None else [feat]
        new_user = F.normalize(self.user_cell(torch.cat([item, gaps[0], *rest], dim=-1), user))
        new_item = F.normalize(self.item_cell(torch.cat([user, gaps[1], *rest], dim=-1), item))
        self.user, self.item = self.user.index_copy(0, src, new_user), self.item.index_copy(0, dst, new_item)
        self.kept = self.kept.index_copy(0, src, new_item)
        self.last[src] = self.last[self.num_users + dst] = time.double()
        self.previous[src] = dst
        return guess, target, F.mse_loss(new_user, user) + F.mse_loss(new_item, item)

    def replay(self, stream: TBatches, edge_feat: Tensor | None = None, parts: Sequence[Tensor] | None = None) -> Told:
        """Go through t-batches of a stream.

        Parameters
        ----------
        stream : TBatches
            Users are numbered first, then items.
        edge_feat : Tensor, optional
            ``[E, edge_feats]``.
        parts : sequence of Tensor, optional
            Event ids of the t-batches to go through; all of the stream without.

        Raises
        ------
        GraphKitError
            If an id is out of range.
        """
        check_ids("src", stream.src, self.num_users)
        check_ids("dst", stream.dst - self.num_users, self.num_items)
        parts = [part for span in stream for part in span] if parts is None else parts
        if not parts:
            raise GraphKitError("there are no t-batches to go through")
        found = []
        for ids in parts:
            feat = None if edge_feat is None else edge_feat[ids]
            found.append(self.step(stream.src[ids], stream.dst[ids] - self.num_users, stream.time[ids], feat))
        guess, target = (torch.cat(column) for column in list(zip(*found, strict=True))[:2])
        number = torch.arange(len(parts)).repeat_interleave(torch.tensor([len(ids) for ids in parts]))
        return Told(torch.cat(list(parts)), number, guess, target, torch.stack([row[2] for row in found]).sum())

    def loss(self, told: Told, reduction: str = "item-sum") -> Tensor:
        """Return the loss of t-batches, see :func:`~graphkit.sampling.tbatch.tbatch_loss`, and how far states moved."""
        return tbatch_loss(told.guess - told.target, told.batch, reduction) + told.smooth

    @torch.no_grad()
    def ranks(self, told: Told, item: Tensor) -> Tensor:
        """Return the rank of each event's item by distance to the guess among all items, as they are now, ``[E]``.

        Parameters
        ----------
        told : Told
        item : Tensor
            The items from 0, int64 ``[E]``, in the order of ``told``.
        """
        check_rows("item", item, len(told.guess), "events")
        every = torch.cat([self.item, torch.eye(self.num_items).to(self.item)], dim=-1)
        distance = torch.cdist(told.guess, every)
        own = distance.gather(1, item[:, None])
        return 1 + (distance < own).sum(1) + 0.5 * ((distance == own).sum(1) - 1)
