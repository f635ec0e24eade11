"""What was counted of two nodes strictly before a time: the features of the floor that temporal networks must beat."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from graphkit._kernels import counters as kernels
from graphkit.core.check import check_choice, check_ids, check_rows
from graphkit.core.errors import GraphKitError
from graphkit.graphs.temporal import check_stream

if TYPE_CHECKING:
    import dgl

#: The columns of each kind of counters.
LINK = (
    "times u-v", "times v-u", "gap of u-v", "seen u-v", "given by u", "taken by v", "events of u", "events of v",
    "gap of u", "gap of v", "common neighbours", "lately common neighbours", "lately taken by v",
)  # fmt: skip
SIGN = (
    "u gave +", "u gave -", "u got +", "u got -", "v gave +", "v gave -", "v got +", "v got -",
    "rate - given by u", "rate - got by u", "rate - given by v", "rate - got by v",
)  # fmt: skip
BACK = ("v rated u +", "v rated u -")
KINDS = {"link": LINK, "sign": SIGN + BACK, "sign-one-way": SIGN}


def _rows(key: np.ndarray, size: int, *columns: np.ndarray) -> tuple[np.ndarray, ...]:
    """Sort columns by ``key``, keeping order within it, and say where each row begins."""
    order = np.argsort(key, kind="stable")
    starts = np.searchsorted(key[order], np.arange(size + 1))
    return starts, *(np.ascontiguousarray(column[order]) for column in columns)


def _groups(code: np.ndarray, *columns: np.ndarray) -> tuple[np.ndarray, ...]:
    """Sort columns by ``code``; return the distinct codes, where each begins, and the sorted columns."""
    order = np.argsort(code, kind="stable")
    distinct, starts = np.unique(code[order], return_index=True)
    starts = np.append(starts, len(code)).astype(np.int64)
    return distinct, starts, *(np.ascontiguousarray(column[order]) for column in columns)


def _bad(sign: np.ndarray) -> np.ndarray:
    """Return how many negative signs stand before each place, int64 ``[E + 1]``."""
    return np.concatenate([[0], np.cumsum(sign < 0)]).astype(np.int64)


class OnlineCounters:
    r"""Counters of pairs at a time, from the events of a stream that are strictly earlier.

    ``link`` gives thirteen columns for ``(u, v, t)``, with n counts, N(u) who u met (in either role), and a gap that
    is :math:`(t - t_0)/\tau + 1` for what was never seen:

    .. math:: \log(1 + n_{uv}),\; \log(1 + n_{vu}),\; \log(1 + gap_{uv}/\tau),\; 1[n_{uv} > 0],\; \log(1 + out_u),\;
              \log(1 + in_v),\; \log(1 + n_u),\; \log(1 + n_v),\; \log(1 + gap_u/\tau),\; \log(1 + gap_v/\tau),\;
              \log(1 + |N(u) \cap N(v)|),\; \sum_{w} e^{-(t - \min(last_{uw}, last_{vw}))/\tau},\;
              \log(10^{-3} + \sum_{i \to v} e^{-(t - t_i)/\tau})

    ``sign`` gives fourteen: of u and of v the logarithms of positive and negative ratings given and got (8), the rates
    :math:`(n^- + 5\pi)/(n + 5)` given and got by both, with pi the share of negative events so far (4), and whether v
    rated u up or down before (2); ``sign-one-way`` leaves these two out. Nothing is kept between calls: the index of
    the stream is asked for each query, so any order of queries gives the same numbers.

    Parameters
    ----------
    graph : dgl.DGLGraph
        A stream; for ``sign`` with the edge field ``sign``.
    tau : float
        The scale of times, such as one step of snapshots or a month of seconds.
    kind : str
        ``link``, ``sign`` or ``sign-one-way``.

    Raises
    ------
    GraphKitError
        If the graph is no stream, the kind is unknown, ``tau`` is not positive or signs are missing.

    Examples
    --------
    >>> from graphkit.graphs.temporal import from_events
    >>> counters = OnlineCounters(from_events([0, 0], [1, 1], [3, 5]))
    >>> counters(torch.tensor([0, 0]), torch.tensor([1, 1]), torch.tensor([5, 6]))[:, 0].exp().round().tolist()
    [2.0, 3.0]
    """

    def __init__(self, graph: dgl.DGLGraph, tau: float = 1.0, kind: str = "link") -> None:
        check_choice("kind", kind, KINDS)
        if not tau > 0:
            raise GraphKitError(f"tau={tau} is no scale of time; expected a positive number")
        times = check_stream(graph)
        self.kind, self.tau, self.num_nodes = kind, float(tau), graph.num_nodes()
        self.start = times[:1]
        self.every = self._since(times)
        src, dst = (ids.long().numpy() for ids in graph.edges(order="eid"))
        if kind == "link":
            self._index_links(src, dst)
        else:
            if "sign" not in graph.edata:
                raise GraphKitError("counters of signs need the edge field 'sign', which the graph does not have")
            self._index_signs(src, dst, np.sign(graph.edata["sign"].numpy()).astype(np.int64))

    @property
    def columns(self) -> tuple[str, ...]:
        """What each column counts."""
        return KINDS[self.kind]

    def _since(self, times: Tensor) -> np.ndarray:
        """Return times from the first event on, float64, exact where they are whole numbers."""
        start = self.start if len(self.start) else times[:1]
        return (times - start).double().numpy() if len(times) else np.empty(0)

    def _index_links(self, src: np.ndarray, dst: np.ndarray) -> None:
        time, size = self.every, self.num_nodes
        self.out, self.into = _rows(src, size, time), _rows(dst, size, time)
        self.strength = np.empty(len(time))
        kernels.faded(*self.into, self.tau, self.strength)
        self.pairs = _groups(src * size + dst, time)
        ends = np.concatenate([src, dst]), np.concatenate([dst, src])
        order = np.argsort(np.tile(time, 2), kind="stable")
        codes, group_ptr, group_time = _groups((ends[0] * size + ends[1])[order], np.tile(time, 2)[order])
        node_ptr = np.searchsorted(codes // max(size, 1), np.arange(size + 1))
        self.halves = node_ptr, codes % max(size, 1), group_ptr, group_time

    def _index_signs(self, src: np.ndarray, dst: np.ndarray, sign: np.ndarray) -> None:
        time, size = self.every, self.num_nodes
        *self.out, given = _rows(src, size, time, sign)  # type: ignore[assignment]
        *self.into, taken = _rows(dst, size, time, sign)  # type: ignore[assignment]
        self.bad = _bad(given), _bad(taken), _bad(sign)
        self.pairs = _groups(src * size + dst, time, sign)

    def __call__(self, src: Tensor, dst: Tensor, time: Tensor) -> Tensor:
        """Return the counters of ``P`` queries, float64 ``[P, columns]``.

        Parameters
        ----------
        src, dst : Tensor
            int64 ``[P]``.
        time : Tensor
            ``[P]``, in the stream's own units.

        Raises
        ------
        GraphKitError
            If an id is out of range, lengths differ, or a time is earlier than the first event's.
        """
        check_ids("src", src, self.num_nodes)
        check_ids("dst", dst, self.num_nodes, len(src))
        check_rows("time", time, len(src), "queries")
        asked = [ids.long().contiguous().numpy() for ids in (src, dst)]
        when = self._since(time)
        if len(when) and when.min() < 0:
            raise GraphKitError(f"a query's time {time.min().item()} is before the first event at {self.start.item()}")
        made = np.empty((len(src), len(self.columns)))
        out, into = tuple(self.out), tuple(self.into)
        if self.kind == "link":
            kernels.link_features(*asked, when, self.tau, out, into, self.strength, self.pairs, self.halves, made)
        else:
            back = self.kind == "sign"
            kernels.sign_features(*asked, when, out, into, self.bad, self.every, self.pairs, back, made)
        return torch.from_numpy(made)
