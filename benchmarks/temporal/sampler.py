"""Past neighbours per second, beside PyTorch Geometric and NumPy: ``python benchmarks/temporal/sampler.py``.

A stream of the size of tgbl-wiki (157,474 events of 8,227 users and 1,000 items, busy ones often) is followed in
batches of 200 events; each asks for the newest K neighbours of its sources, destinations and as many random
destinations. ``pyg`` is ``LastNeighborLoader``, which TGB's examples use: asked, then told of the batch; of a node
with more than K events in one batch it keeps any K (``pyg_newest`` is the share that are the newest). ``numpy`` keeps
an array for each node and finds the past of each query by binary search, a query at a time, as DyGLib's sampler does.
Our index is built once; building it is part of our time in ``with build``. Writes sampler.json beside itself.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from pathlib import Path

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE.parent / "speed")]

import numpy as np  # noqa: E402
import torch  # noqa: E402
from timing import interleave, provenance, ratio  # noqa: E402

import graphkit as gk  # noqa: E402
from graphkit.sampling import TemporalSampler  # noqa: E402

USERS, ITEMS, EVENTS, BATCH = 8227, 1000, 157_474, 200
#: What the issue asks for: neighbours per second over the peer's.
TARGET = 10.0


def make_stream(seed: int):
    """Users and items with power-law activity; times rise by whole seconds."""
    rng = np.random.default_rng(seed)
    user = rng.choice(USERS, EVENTS, p=_zipf(USERS))
    item = USERS + rng.choice(ITEMS, EVENTS, p=_zipf(ITEMS))
    time = np.cumsum(rng.integers(1, 30, EVENTS))
    return gk.graphs.from_events(user, item, time, USERS + ITEMS), rng.integers(USERS, USERS + ITEMS, EVENTS)


def _zipf(count: int) -> np.ndarray:
    weight = 1 / np.arange(1, count + 1) ** 0.9
    return weight / weight.sum()


class PerNode:
    """A sampler of arrays for each node, a query at a time."""

    def __init__(self, src: np.ndarray, dst: np.ndarray, time: np.ndarray, nodes: int) -> None:
        owner, other = np.concatenate([src, dst]), np.concatenate([dst, src])
        edge = np.tile(np.arange(len(src)), 2)
        order = np.lexsort((edge, owner))
        cut = np.cumsum(np.bincount(owner, minlength=nodes))[:-1]
        self.other, self.edge = (np.split(x[order], cut) for x in (other, edge))
        self.time = np.split(time[edge[order]], cut)

    def sample(self, nodes: np.ndarray, times: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return the newest k, the newest last, 0 before them."""
        node, edge, when = (np.zeros((len(nodes), k), x) for x in (np.int64, np.int64, np.float32))
        for row, (u, t) in enumerate(zip(nodes, times, strict=True)):
            end = np.searchsorted(self.time[u], t)
            taken = slice(max(end - k, 0), end)
            count = end - taken.start
            if count:
                node[row, k - count :] = self.other[u][taken]
                edge[row, k - count :] = self.edge[u][taken]
                when[row, k - count :] = self.time[u][taken]
        return node, edge, when


def measure(k: int, seed: int, rounds: int, events: int) -> dict:
    """Follow the stream with each sampler, interleaved."""
    from torch_geometric.nn.models.tgn import LastNeighborLoader

    graph, negative = make_stream(seed)
    src, dst = graph.edges(order="eid")
    time = graph.edata["time"]
    false = torch.from_numpy(negative)
    begin = (EVENTS - events) // BATCH * BATCH
    starts = range(begin, EVENTS, BATCH)
    asked = []
    for low in starts:
        rows = slice(low, low + BATCH)
        asked.append((torch.cat([src[rows], dst[rows], false[rows]]), time[rows].repeat(3), rows))
    queries = sum(len(nodes) for nodes, _, _ in asked)
    index = TemporalSampler(graph, (k,))
    plain = PerNode(src.numpy(), dst.numpy(), time.numpy(), graph.num_nodes())
    loader = LastNeighborLoader(graph.num_nodes(), k)
    warm = [(src[low : low + BATCH], dst[low : low + BATCH]) for low in range(0, begin, BATCH)]

    def ours() -> int:
        return sum(int(index.sample(nodes, when).mask.sum()) for nodes, when, _ in asked)

    def with_build() -> int:
        fresh = gk.graphs.from_events(src, dst, time, graph.num_nodes())
        made = TemporalSampler(fresh, (k,))
        return sum(int(made.sample(nodes, when).mask.sum()) for nodes, when, _ in asked)

    def pyg() -> int:
        found = 0
        for nodes, _, rows in asked:
            found += len(loader(nodes.unique())[2])
            loader.insert(src[rows], dst[rows])
        return found

    def numpy() -> int:
        return sum(int(plain.sample(n.numpy(), t.numpy(), k)[2].astype(bool).sum()) for n, t, _ in asked)

    loader.reset_state()
    for pair in warm:
        loader.insert(*pair)
    newest = check(index, loader, plain, asked[0], k)
    found = {"ours": ours(), "pyg": pyg(), "numpy": numpy()}
    times = interleave({"ours": ours, "with build": with_build, "pyg": pyg, "numpy": numpy}, rounds, seed)
    row = {
        "fanout": k,
        "queries": queries,
        "neighbours": found,
        "pyg_newest": newest,
        "seconds": {n: min(t) for n, t in times.items()},
    }
    row["neighbours_per_second"] = {
        name: found["ours" if name in ("with build", "ours") else name] / min(t) for name, t in times.items()
    }
    # The peers' time for as many neighbours as ours; PyG is asked for each node of a batch once.
    for peer in ("pyg", "numpy"):
        scale = found["ours"] / found[peer]
        row[f"over_{peer}"] = ratio([t * scale for t in times[peer]], times["ours"])
        row[f"over_{peer}_with_build"] = ratio([t * scale for t in times[peer]], times["with build"])
    return row


def check(index: TemporalSampler, loader, plain: PerNode, asked: tuple, k: int) -> float:
    """Hold ours and NumPy's neighbours of the first batch to be alike; return the share of PyG's among them."""
    nodes = asked[0].unique()
    when = torch.full_like(nodes, int(asked[1][0]))
    mine = index.sample(nodes, when)
    theirs = plain.sample(nodes.numpy(), when.numpy(), k)
    assert (np.sort(mine.edge.masked_fill(~mine.mask, 0).numpy()) == np.sort(theirs[1])).all()
    peer, own = loader(nodes)[2].tolist(), mine.edge[mine.mask].tolist()
    assert len(peer) == len(own)
    return len(set(peer) & set(own)) / len(set(own))


def main() -> None:
    """Measure and write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--events", type=int, default=20_000, help="how many of the last events are followed")
    parser.add_argument("--out", type=Path, default=HERE / "sampler.json")
    arguments = parser.parse_args()
    torch.set_num_threads(int(os.environ.setdefault("OMP_NUM_THREADS", "1")))
    rows = [measure(k, arguments.seed, arguments.rounds, arguments.events) for k in (10, 20)]
    result = {**provenance(), "command": "python benchmarks/temporal/sampler.py", "rounds": arguments.rounds}
    result |= {"threads": torch.get_num_threads(), "load": os.getloadavg(), "target": TARGET, "rows": rows}
    arguments.out.write_text(json.dumps(result, indent=1) + "\n")
    for row in rows:
        print(json.dumps({name: row[name] for name in row if name != "seconds"}))


if __name__ == "__main__":
    main()
