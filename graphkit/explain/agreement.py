"""Agreement of explanations with known causes: BA-Shapes, where a node's role comes from its house (1903.03894)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from graphkit.core.errors import GraphKitError, unknown
from graphkit.core.random import numpy_generator
from graphkit.sampling import full_batch

if TYPE_CHECKING:
    from graphkit.data import Dataset
    from graphkit.explain.explanation import Explanation
    from graphkit.fit import Run

#: The network that the paper explains and how it is trained.
NETWORK = {
    "num_layers": 3,
    "hidden": 20,
    "norm": "none",
    "self_loops": False,
    "concat": True,
    "normalize": True,
    "dropout": 0.0,
}
#: The authors take the last epoch; the least validation loss comes close to it and stays our rule.
TRAINING = {"task": {"select": "loss"}, "epochs": 1000, "lr": 1e-3, "weight_decay": 5e-3, "clip": 2.0, "patience": 0}


def edge_auc(explanation: Explanation, truth: Tensor) -> float:
    """Return the ROC AUC of edge scores against the edges that are known to matter.

    Runs over the edges that can matter for the target, undirected ones counted once.

    Parameters
    ----------
    explanation : Explanation
    truth : Tensor
        Whether each edge of the whole graph matters, bool ``[E]``; or several valid answers, ``[V, E]``, of which the
        one that the scores match best counts (2208.09339).

    Returns
    -------
    float
        NaN where all or none of the edges matter.

    Raises
    ------
    GraphKitError
        If ``truth`` has another length.

    Examples
    --------
    >>> import graphkit as gk
    >>> data = gk.load("karate")
    >>> why = gk.explain(gk.models.build("gcn", data), data, node=0, method="saliency")
    >>> edge_auc(why, why.edge_mask > why.edge_mask.median())
    1.0
    """
    if truth.shape[-1:] != explanation.edge_mask.shape or truth.dim() > 2:
        raise GraphKitError(
            f"truth has {truth.shape[-1]} entries; expected one for each of {len(explanation.edge_mask)} edges"
        )
    edges = explanation.edges[explanation._first_of_groups()]
    known = truth[..., edges].bool().reshape(-1, len(edges))
    known = known[known.any(1) & ~known.all(1)]
    if not len(known):
        return float("nan")
    return float(rank_auc(explanation.edge_mask[edges], known).max())


def rank_auc(score: Tensor, known: Tensor) -> Tensor:
    """Return the ROC AUC of scores against each of several labellings, by ranks: ties count half.

    Parameters
    ----------
    score : Tensor
        ``[n]``.
    known : Tensor
        bool ``[V, n]``, each row with some of both kinds.

    Returns
    -------
    Tensor
        float64 ``[V]``.

    Examples
    --------
    >>> rank_auc(torch.tensor([3.0, 2.0, 2.0]), torch.tensor([[True, False, False], [False, True, False]]))
    tensor([1.0000, 0.2500], dtype=torch.float64)
    """
    from scipy.stats import rankdata

    rank = torch.from_numpy(rankdata(score.numpy()))
    inside = known.sum(1).double()
    above = known.double() @ rank - inside * (inside + 1) / 2
    return above / (inside * (known.shape[1] - inside))


def motif_nodes(data: Dataset, count: int | None = None, which: str = "first", seed: int = 0) -> list[int]:
    """Return one node of each of the first ``count`` houses (None: of all).

    Parameters
    ----------
    data : Dataset
        A BA-Shapes graph.
    count : int, optional
    which : str, default "first"
        ``"first"``: the node that ties the house to the base, which published evaluations explain, and whose
        computation graph holds many edges that are no part of a motif. ``"any"``: a node drawn at random, most often
        one that sees its house, the tie and little else.
    seed : int
        Of that draw.

    Raises
    ------
    GraphKitError
        For another ``which``.
    """
    if which not in ("first", "any"):
        raise unknown("choice of motif nodes", which, ["first", "any"])
    house = data.graph.ndata["house"].numpy()
    members = [np.flatnonzero(house == h) for h in range(int(house.max()) + 1)][:count]
    draw = numpy_generator(seed, "motif nodes")
    return [int(nodes[0] if which == "first" else draw.choice(nodes)) for nodes in members]


def train_ba_shapes(data: Dataset, seed: int = 0, **changes: Any) -> Run:
    """Train the network of the GNNExplainer paper on a BA-Shapes graph.

    Three sum convolutions of width 20 without self-loops, bias after aggregation, rows scaled to length 1, outputs
    concatenated; Adam 1e-3, weight decay 5e-3, gradients clipped at 2, 1,000 epochs.

    Parameters
    ----------
    data : Dataset
    seed : int
    **changes
        Arguments of :func:`graphkit.fit` and the network that differ.
    """
    from graphkit.fit import fit

    return fit("gcn", data, seed=seed, progress=False, **{**NETWORK, **TRAINING, **changes})


def ba_shapes_agreement(
    seed: int = 0,
    houses: int | None = 20,
    methods: tuple[str, ...] = ("gnnexplainer", "saliency"),
    which: str = "first",
    trained: bool = True,
) -> dict[str, float]:
    """Generate BA-Shapes, train the paper's network, and compare explanations of motif nodes with the motifs.

    Parameters
    ----------
    seed : int
        Of the graph, the split, training and explaining.
    houses : int or None
        One node of each of so many houses; of all 80 for None.
    methods : tuple of str
        Explainers.
    which : str, default "first"
        Of :func:`motif_nodes`.
    trained : bool, default True
        False explains the network as it was drawn: a control, whose explanations should know nothing.

    Returns
    -------
    dict
        ``accuracy`` (all nodes), ``test_accuracy``, and for each method ``<method>/auc`` (mean over nodes of the AUC
        against all motif edges among those that can matter), ``<method>/own_auc`` (against the edges of the node's own
        house) and ``<method>/pooled_auc`` (all edges of all nodes ranked together).
    """
    from graphkit.data.generate import ba_shapes
    from graphkit.models import build

    data = ba_shapes(seed)
    subject: Any
    if trained:
        subject = train_ba_shapes(data, seed)
        answers = subject.predict().argmax(1)
    else:
        torch.manual_seed(seed)
        subject = build("gcn", data, **NETWORK).eval()
        answers = subject(full_batch(data)).pred.argmax(1)
    right = answers == data.labels
    result = {"accuracy": float(right.double().mean())}
    result["test_accuracy"] = float(right[data.splits["test"]].double().mean())
    nodes = motif_nodes(data, houses, which, seed)
    for method in methods:
        for name, value in agreement(subject, data, nodes, method, seed).items():
            result[f"{method}/{name}"] = value
    return result


def agreement(
    run: Any, data: Dataset, nodes: list[int], method: str, seed: int = 0, **options: Any
) -> dict[str, float]:
    """Explain ``nodes`` and return ``auc``, ``own_auc`` and ``pooled_auc``; see :func:`ba_shapes_agreement`."""
    from sklearn.metrics import roc_auc_score

    from graphkit.explain.api import explain

    truth = data.graph.edata["motif_edge"].bool()
    house = data.graph.ndata["house"]
    src, _ = data.graph.edges(order="eid")
    found: dict[str, list[Any]] = {"auc": [], "own_auc": [], "known": [], "score": []}
    for node in nodes:
        why = explain(run, data, node=node, method=method, seed=seed, **options)
        edges = why.edges[why._first_of_groups()]
        found["auc"].append(edge_auc(why, truth))
        found["own_auc"].append(edge_auc(why, truth & (house[src] == house[node])))
        found["known"].append(truth[edges])
        found["score"].append(why.edge_mask[edges])
    pooled = roc_auc_score(torch.cat(found["known"]).numpy(), torch.cat(found["score"]).numpy())
    return {
        "auc": float(np.nanmean(found["auc"])),
        "own_auc": float(np.nanmean(found["own_auc"])),
        "pooled_auc": float(pooled),
    }
