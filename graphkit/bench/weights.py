"""Baselines for sets of neural networks: what their flat weights, or statistics of them, tell without a graph."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from graphkit import metrics
from graphkit.core.errors import GraphKitError, unknown
from graphkit.graphs.network import NODE_TYPES

#: Percentiles of a layer's weights among its statistics.
QUANTILES = (0.0, 0.25, 0.5, 0.75, 1.0)


def flat_rows(data) -> np.ndarray:
    """Return for each network its biases, norms and weights in the order of its graph, padded with 0, ``[B, W]``.

    Parameters
    ----------
    data : Dataset
        Of networks, in the form ``kernels`` of ``from_module``.
    """
    held = data.collated
    parts = []
    for rows, offsets in ((held.node_fields["feat"][:, :3], held.node_offsets),
                          (held.edge_fields["feat"], held.edge_offsets)):  # fmt: skip
        flat, starts = rows.reshape(-1), offsets * rows.shape[1]
        width = int(starts.diff().max())
        place = starts[:-1, None] + torch.arange(width)
        inside = place < starts[1:, None]
        parts.append(torch.where(inside, flat[place.clamp(max=len(flat) - 1)], 0.0))
    return torch.cat(parts, dim=1).double().numpy()


def statistic_rows(data) -> np.ndarray:
    """Return for each network and layer the mean, variance and five percentiles of weights and of biases, ``[B, W]``.

    Layers are counted from the first and from the last, so that networks of all depths have the same columns; sizes of
    layers and how many networks' parts there are stand beside them. Unterthiner et al., arXiv:2002.11448.

    Parameters
    ----------
    data : Dataset
    """
    held, rows = data.collated, []
    for i in range(len(held)):
        nodes = slice(int(held.node_offsets[i]), int(held.node_offsets[i + 1]))
        edges = slice(int(held.edge_offsets[i]), int(held.edge_offsets[i + 1]))
        kind, weight = held.edge_fields["etype"][edges], held.edge_fields["feat"][edges]
        own, dst = held.node_fields["feat"][nodes, :3], held.dst[edges]
        groups = _layers(held.src[edges], dst, kind)
        row = [float(len(groups)), float(len(own)), float(len(weight))]
        chosen = [groups[0], groups[-1], groups[min(1, len(groups) - 1)]]
        for mine in chosen:
            row += _summary(weight[mine]) + _summary(own[dst[mine].unique(), 0]) + [float(len(dst[mine].unique()))]
        row += _summary(own[:, 1]) + _summary(own[:, 2])
        rows.append(row)
    return np.array(rows)


def _layers(src: Tensor, dst: Tensor, kind: Tensor) -> list[Tensor]:
    """Return the edges of each linear map or convolution, in order: those whose sources are the same neurons."""
    weights = kind < 2  # linear and conv
    first = torch.full((int(dst.max()) + 1,), int(src.max()) + 1).scatter_reduce(0, dst[weights], src[weights], "amin")
    return [(weights & (first[dst] == start)).nonzero()[:, 0] for start in first[dst[weights]].unique()]


def _summary(values: Tensor) -> list[float]:
    flat = values.reshape(-1).double()
    spread = torch.quantile(flat, torch.tensor(QUANTILES, dtype=torch.float64))
    return [float(flat.mean()), float(flat.var(correction=0)), *spread.tolist()]


def output_rows(data) -> np.ndarray:
    """Return what stands on and before each output of each network, in the order of the outputs, ``[B, C, W]``.

    Its bias, and of the weights that lead to it their sum, norm, mean size, least and largest; then the same less the
    mean over the network's outputs and divided by their deviation.

    Parameters
    ----------
    data : Dataset
        Of networks with equally many outputs, in the form ``kernels`` of ``from_module``.
    """
    held, rows = data.collated, []
    output = held.node_fields["ntype"] == NODE_TYPES.index("output")
    for i in range(len(held)):
        nodes = slice(int(held.node_offsets[i]), int(held.node_offsets[i + 1]))
        edges = slice(int(held.edge_offsets[i]), int(held.edge_offsets[i + 1]))
        mine, weight, dst = output[nodes].nonzero()[:, 0], held.edge_fields["feat"][edges], held.dst[edges]
        mine = mine[torch.argsort(held.node_fields["order"][nodes][mine])]
        own = [_reach(held.node_fields["feat"][nodes][k, 0], weight[dst == k]) for k in mine.tolist()]
        row = torch.tensor(own, dtype=torch.float64)
        rows.append(torch.cat([row, (row - row.mean(0)) / row.std(0, correction=0).clamp(min=1e-12)], dim=1))
    return torch.stack(rows).numpy()


def _reach(bias: Tensor, weight: Tensor) -> list[float]:
    return [float(x) for x in (bias, weight.sum(), weight.norm(), weight.abs().mean(), weight.min(), weight.max())]


ROWS = {"flattened": flat_rows, "statistics": statistic_rows, "outputs": output_rows}
MODELS = ("linear", "trees", "perceptron", "bias")


def weight_baseline(data, system: str, seed: int = 0) -> dict[str, float]:
    """Fit a baseline on the training networks and score it on the others.

    Parameters
    ----------
    data : Dataset
        Of networks, with one number or a class to predict.
    system : str
        ``ROWS-MODEL``: ``flattened`` or ``statistics``, and ``linear`` (ridge or logistic regression, its penalty
        chosen on the validation part), ``trees`` (gradient boosting) or ``perceptron`` (two layers of 128). Or
        ``outputs``, where classes are the networks' outputs: one model for all outputs tells whether an output is the
        class, and the likeliest is taken; ``outputs-bias`` takes the output of the lowest bias and learns nothing.
    seed : int

    Returns
    -------
    dict of str to float
        ``mae``, ``rmse`` and ``kendall``, or ``accuracy``, for ``val`` and ``test``.

    Raises
    ------
    UnknownNameError
        If there is no such baseline.
    GraphKitError
        If ``outputs`` are asked for a number, not a class.
    """
    kind, _, name = system.partition("-")
    known = [f"{a}-{b}" for a in ROWS for b in MODELS if b != "bias" or a == "outputs"]
    if system not in known:
        raise unknown("baseline", system, known)
    x, y = ROWS[kind](data), data.labels
    if kind == "outputs":
        return _output_baseline(x, y, data.splits, name, seed)
    parts = {split: data.splits[split].numpy() for split in ("train", "val", "test")}
    classes = not y.is_floating_point()
    target = y.numpy() if classes else y[:, 0].double().numpy()
    best: dict[str, float] = {}
    for model in _models(name, classes, seed):
        model.fit(x[parts["train"]], target[parts["train"]])
        found: dict[str, float] = {}
        for split in ("val", "test"):
            if classes:
                found[f"{split}/accuracy"] = float((model.predict(x[parts[split]]) == target[parts[split]]).mean())
                continue
            pred = torch.from_numpy(np.asarray(model.predict(x[parts[split]])))
            found |= {f"{split}/{k}": v for k, v in metrics.errors(pred, y[parts[split], 0]).items()}
            found[f"{split}/kendall"] = metrics.kendall(pred, y[parts[split]])
        key = "val/accuracy" if classes else "val/kendall"
        best = max(best, found, key=lambda scores: scores.get(key, -2.0))
    return best


def _output_baseline(x: np.ndarray, y: Tensor, splits: dict[str, Tensor], name: str, seed: int) -> dict[str, float]:
    """Score a baseline that judges outputs one by one; x is ``[B, C, W]`` and y the output that is the class."""
    if y.is_floating_point():
        raise GraphKitError("the baseline 'outputs' tells which output is the class; the labels are numbers")
    target, train = y.numpy(), splits["train"].numpy()
    right = (target[:, None] == np.arange(x.shape[1])).astype(np.int64)
    best: dict[str, float] = {}
    for model in [None] if name == "bias" else _models(name, True, seed):
        if model is None:
            likely = -x[:, :, 0]
        else:
            model.fit(x[train].reshape(-1, x.shape[2]), right[train].reshape(-1))
            likely = model.predict_proba(x.reshape(-1, x.shape[2]))[:, 1].reshape(right.shape)
        hit = likely.argmax(1) == target
        found = {f"{split}/accuracy": float(hit[splits[split].numpy()].mean()) for split in ("val", "test")}
        best = max(best, found, key=lambda scores: scores.get("val/accuracy", -1.0))
    return best


def _models(name: str, classes: bool, seed: int) -> list:
    """Return pipelines to choose from on the validation part."""
    from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
    from sklearn.linear_model import LogisticRegression, Ridge
    from sklearn.neural_network import MLPClassifier, MLPRegressor
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    penalties = (1.0, 1e1, 1e2, 1e3, 1e4)
    if name == "trees":
        boosting = HistGradientBoostingClassifier if classes else HistGradientBoostingRegressor
        return [boosting(learning_rate=rate, max_iter=200, random_state=seed) for rate in (0.05, 0.1)]
    if name == "perceptron":
        kind = MLPClassifier if classes else MLPRegressor
        return [
            make_pipeline(StandardScaler(), kind((128, 128), alpha=alpha, max_iter=200, random_state=seed))
            for alpha in (1e-2, 1.0)
        ]
    if classes:
        return [make_pipeline(StandardScaler(), LogisticRegression(C=1 / p, max_iter=500)) for p in penalties]
    return [make_pipeline(StandardScaler(), Ridge(alpha=p)) for p in penalties]
