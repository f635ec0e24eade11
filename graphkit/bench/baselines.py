"""Baselines without graphs or without learning, to stand beside those that have both."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from graphkit import metrics
from graphkit.core.errors import GraphKitError


def frequency(data) -> dict[str, float]:
    """Rank candidates by how often they stand at this side of the relation in the training triples.

    Score of a tail t for ``(h, r, ?)``: the number of training triples ``(., r, t)``; of a head h for ``(?, r, t)``:
    the number of ``(h, r, .)``. Filtered ranks of both sides; ties share the mean rank.

    Parameters
    ----------
    data : Dataset
        With triple splits and ``known`` true triples.

    Returns
    -------
    dict of str to float
        ``mrr`` and ``hits@1``, ``hits@3``, ``hits@10`` for ``val`` and ``test``.
    """
    train = data.splits["train"].pos
    n, r = data.graph.num_nodes(), int(data.known.rel.max()) + 1
    counts = {
        "dst": torch.zeros(r, n).index_put_((train.rel, train.dst), torch.ones(len(train)), accumulate=True),
        "src": torch.zeros(r, n).index_put_((train.rel, train.src), torch.ones(len(train)), accumulate=True),
    }
    scores: dict[str, float] = {}
    for split in ("val", "test"):
        part = data.splits[split].pos
        tails = metrics.filtered_ranks(
            counts["dst"][part.rel],
            part.dst,
            _true(data.known.src, data.known.rel, data.known.dst, part.src, part.rel, n),
        )
        heads = metrics.filtered_ranks(
            counts["src"][part.rel],
            part.src,
            _true(data.known.dst, data.known.rel, data.known.src, part.dst, part.rel, n),
        )
        rank = torch.cat([tails, heads])
        scores[f"{split}/mrr"] = metrics.mrr(rank)
        scores |= {f"{split}/hits@{k}": metrics.hits_at_k(rank, k) for k in (1, 3, 10)}
    return scores


def _true(given: Tensor, rel: Tensor, answer: Tensor, asked: Tensor, asked_rel: Tensor, num_nodes: int) -> Tensor:
    """Mark, for each query, every known true answer: bool ``[P, N]``."""
    key, query = given * (int(rel.max()) + 1) + rel, asked * (int(rel.max()) + 1) + asked_rel
    rows, inverse = query.unique(return_inverse=True)
    place = torch.searchsorted(rows, key).clamp(max=len(rows) - 1)
    hit = rows[place] == key
    mask = torch.zeros(len(rows), num_nodes, dtype=torch.bool)
    mask[place[hit], answer[hit]] = True
    return mask[inverse]


def morgan_forest(data, seed: int, trees: int = 500, radius: int = 2, bits: int = 2048) -> dict[str, float]:
    """Train a random forest on Morgan fingerprints of a set of molecules: what chemists had before graph networks.

    One forest for each target, on the molecules whose label is known; nothing is chosen on the validation part.

    Parameters
    ----------
    data : Dataset
        Molecules with ``names["smiles"]``, and numbers or 0/1 labels.
    seed : int
        Of the forest.
    trees, radius, bits : int

    Returns
    -------
    dict of str to float
        ``rmse`` and ``mae``, or ``roc_auc`` and ``ap``, for ``val`` and ``test``.

    Raises
    ------
    GraphKitError
        If the dataset has no SMILES, or classes in place of numbers.
    """
    from sklearn.ensemble import RandomForestClassifier, RandomForestRegressor

    from graphkit.tasks.supervised import guess_objective

    labels = data.labels
    if not data.names.get("smiles") or not labels.is_floating_point():
        raise GraphKitError(f"{data.name} holds no SMILES with numbers or 0/1 labels, which the forest is trained on")
    found, binary = morgan(data.names["smiles"], radius, bits), guess_objective(labels) == "bce"
    train, pred = data.splits["train"].numpy(), torch.zeros_like(labels)
    for column in range(labels.shape[1]):
        y = labels[:, column].numpy()
        known = train[~np.isnan(y[train])]
        kind = RandomForestClassifier if binary else RandomForestRegressor
        forest = kind(trees, random_state=seed, n_jobs=1).fit(found[known], y[known])
        for part in ("val", "test"):
            ids = data.splits[part].numpy()
            said = forest.predict_proba(found[ids])[:, list(forest.classes_).index(1)] if binary else None
            pred[ids, column] = torch.from_numpy(forest.predict(found[ids]) if said is None else said).float()
    scores: dict[str, float] = {}
    for part in ("val", "test"):
        one, true = pred[data.splits[part]], labels[data.splits[part]]
        both = {"roc_auc": metrics.roc_auc(one, true), "ap": metrics.average_precision(one, true)} if binary else None
        scores |= {f"{part}/{name}": value for name, value in (both or metrics.errors(one, true)).items()}
    return scores


def morgan(smiles: list[str], radius: int = 2, bits: int = 2048) -> np.ndarray:
    """Return RDKit's Morgan fingerprints, uint8 ``[B, bits]``.

    >>> morgan(["CCO", "OCC", "CCC"]).sum(1).tolist()
    [6, 6, 4]
    """
    from rdkit.Chem import rdFingerprintGenerator

    from graphkit.graphs._chemistry import parse

    maker = rdFingerprintGenerator.GetMorganGenerator(radius=radius, fpSize=bits)
    return np.stack([maker.GetFingerprintAsNumPy(parse(text, "")) for text in smiles])
