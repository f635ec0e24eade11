"""Make a graph on disk of any size whose labels follow from two hops: python benchmarks/scale/generate.py FOLDER."""

import argparse
import time
from pathlib import Path

import numpy as np

import graphkit as gk

CHUNK = 1 << 18


def structure(nodes: int, degree: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Return ``indptr`` and ``index``, int32: each node has ``degree`` sources, few of them those of most nodes."""
    draw = np.random.default_rng(seed)
    step = 1_000_003 if nodes % 1_000_003 else 1_000_033
    index = np.empty(nodes * degree, np.int32)
    for low in range(0, len(index), CHUNK * degree):
        high = min(low + CHUNK * degree, len(index))
        popular = (nodes * draw.random(high - low) ** 2).astype(np.int64)
        index[low:high] = popular * step % nodes  # popular nodes lie anywhere
    return np.arange(nodes + 1, dtype=np.int32) * np.int32(degree), index


def hop(values: np.ndarray, index: np.ndarray, degree: int) -> np.ndarray:
    """Return each node's mean over its sources, float32."""
    out = np.empty(len(values), np.float32)
    for low in range(0, len(values), CHUNK):
        high = min(low + CHUNK, len(values))
        out[low:high] = values[index[low * degree : high * degree]].reshape(-1, degree).mean(1)
    return out


def features(sign: np.ndarray, width: int, seed: int):
    """Yield chunks of rows: the node's sign under noise, then noise."""
    for low in range(0, len(sign), CHUNK):
        rows = np.random.default_rng([seed, 1, low]).standard_normal((min(CHUNK, len(sign) - low), width), np.float32)
        rows[:, 0] = rows[:, 0] * 0.3 + sign[low : low + CHUNK]
        yield rows


def make(folder: str, nodes: int, degree: int, width: int, train: int, seed: int = 0) -> gk.data.DiskDataset:
    """Write the graph: the label is whether the mean sign of the sources' sources is above 0."""
    indptr, index = structure(nodes, degree, seed)
    sign = np.where(np.random.default_rng([seed, 2]).random(nodes) < 0.5, -1, 1).astype(np.float32)
    second = hop(hop(sign, index, degree), index, degree)
    label = (second > np.median(second)).astype(np.int64)
    order = np.random.default_rng([seed, 3]).permutation(nodes)[: train + train // 5]
    splits = {"train": np.sort(order[:train]), "val": np.sort(order[train : train + train // 10])}
    splits["test"] = np.sort(order[train + train // 10 :])
    name = f"planted-{nodes}"
    return gk.data.write_disk(folder, indptr, index, features(sign, width, seed), label, splits, name, 2)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--nodes", type=int, default=10_000_000)
    parser.add_argument("--degree", type=int, default=10)
    parser.add_argument("--width", type=int, default=128)
    parser.add_argument("--train", type=int, default=100_000)
    asked = parser.parse_args()
    before = time.perf_counter()
    data = make(str(asked.folder), asked.nodes, asked.degree, asked.width, asked.train)
    print(data, f"structure {data.structure_bytes} bytes, {time.perf_counter() - before:.0f} s")


if __name__ == "__main__":
    main()
