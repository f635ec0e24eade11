"""MAGNET: Multi-Label Text Classification using Attention-based Graph Neural Network (ICAART 2020), 2003.11644."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from graphkit import _dgl
from graphkit.core.check import check_feat, check_size
from graphkit.core.errors import GraphKitError
from graphkit.nn import Dropout, GATConv
from graphkit.nn.layer import glorot


def label_correlation(labels: Tensor, threshold: float | None = None, self_loop: bool = True) -> Tensor:
    r"""How often a label stands beside another: ``M_ij = P(L_j | L_i) = count(i, j) / count(i)``.

    Parameters
    ----------
    labels : Tensor
        0 or 1, ``[n, C]``, of the training part only.
    threshold : float, optional
        Smaller entries become 0. Without one, labels that stood together by chance are neighbours too: among some
        hundred rows nearly all pairs are, and classifiers made from all labels are worse than those without a graph.
    self_loop : bool
        Whether the diagonal is 1, also of labels that never occur; else 0.

    Returns
    -------
    Tensor
        float32 ``[C, C]``, not symmetric; the row of a label that never occurs is 0 off the diagonal.

    Raises
    ------
    GraphKitError
        If the labels are no matrix of zeros and ones.

    Examples
    --------
    >>> label_correlation(torch.tensor([[1, 1, 0], [1, 0, 0]])).tolist()
    [[1.0, 0.5, 0.0], [1.0, 1.0, 0.0], [0.0, 0.0, 1.0]]
    """
    if labels.dim() != 2 or not bool(((labels == 0) | (labels == 1)).all()):
        raise GraphKitError(f"labels of shape {list(labels.shape)} were given; expected [n, C] zeros and ones")
    y = labels.double()
    both = y.T @ y
    found = both / both.diagonal().clamp(min=1).unsqueeze(1)
    if threshold is not None:
        found = torch.where(found < threshold, 0.0, found)
    return found.fill_diagonal_(float(self_loop)).float()


class LabelAttention(nn.Module):
    r"""Attention over all pairs of labels, each weighted by a learned number, heads averaged.

    .. math:: h_i = \frac{1}{K} \sum_k \sum_j \alpha^k_{ij} W^k e_j, \quad
              \alpha^k_{ij} \propto m_{ij} \exp \mathrm{leaky\_relu}(a^k \cdot W^k e_j + b^k \cdot W^k e_i)

    Behind a mask ``m_ij > 0`` a learned matrix would get no gradient; here it multiplies.

    Parameters
    ----------
    in_feats, out_feats : int
    num_heads : int
    attn_drop : float, default 0.0
    negative_slope : float, default 0.2

    Examples
    --------
    >>> LabelAttention(4, 6, 2)(torch.ones(3, 4), torch.ones(3, 3)).shape
    torch.Size([3, 6])
    """

    def __init__(
        self, in_feats: int, out_feats: int, num_heads: int, attn_drop: float = 0.0, negative_slope: float = 0.2
    ) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(num_heads, in_feats, out_feats))
        self.attn_src = nn.Parameter(torch.empty(num_heads, out_feats))
        self.attn_dst = nn.Parameter(torch.empty(num_heads, out_feats))
        self.negative_slope, self.drop = negative_slope, Dropout(attn_drop)
        glorot(self.weight, self.attn_src, self.attn_dst)

    def forward(self, feat: Tensor, share: Tensor) -> Tensor:
        """Return ``[C, out_feats]`` for labels ``[C, in_feats]`` and weights above 0 ``[C, C]``."""
        z = torch.einsum("cd,kdo->kco", feat, self.weight)
        there, here = torch.einsum("kco,ko->kc", z, self.attn_src), torch.einsum("kco,ko->kc", z, self.attn_dst)
        score = F.leaky_relu(here.unsqueeze(2) + there.unsqueeze(1), self.negative_slope) + share.log()
        return (self.drop(score.softmax(-1)) @ z).mean(0)


class LabelGraphClassifier(nn.Module):
    """Classifiers made from labels: two attention layers over the graph of labels give ``G``, and ``G f`` the logits.

    ``e' = tanh(mean over heads of sum_j alpha_ij W e_j)``, twice; edge j to i where ``adj_ij > 0``. So a label's
    classifier is made from those of labels that stand beside it.

    Parameters
    ----------
    label_feats : Tensor
        Vectors of the labels' names, ``[C, D]``; a unit matrix if there are none.
    adj : Tensor
        ``[C, C]``, such as :func:`label_correlation`; a loop is added where the diagonal is 0.
    out_dim : int
        Width of an instance's row.
    heads : int, default 4
    learn_adj : bool, default False
        Learn a weight for every pair of labels instead, from Glorot-uniform numbers; ``adj`` is not read.
    hidden : int, optional
        Width between the layers; ``out_dim`` without.
    dropout : float, default 0.5
        Of the labels' rows before each layer.
    negative_slope : float, default 0.2

    Raises
    ------
    GraphKitError
        If ``adj`` does not fit the labels, or an instance's row has another width.

    Notes
    -----
    Pal, Selvakumar and Sankarasubbu, "Multi-Label Text Classification using Attention-based Graph Neural Network",
    arXiv 2003.11644, where recurrent layers make the instances' rows. Train on the mean binary cross-entropy. On 40
    labels in generated chains of implication, 300 rows and dropout 0.5, micro-F1 is 0.41 with correlations of at least
    0.4, 0.30 with loops alone and 0.17 with all pairs seen together; without dropout 0.44, 0.44 and 0.28.

    Examples
    --------
    >>> head = LabelGraphClassifier(torch.eye(3), torch.eye(3), 6, heads=2)
    >>> head(torch.ones(5, 6)).shape
    torch.Size([5, 3])
    """

    label_feats: Tensor

    def __init__(
        self, label_feats: Tensor, adj: Tensor, out_dim: int, heads: int = 4, learn_adj: bool = False,
        hidden: int | None = None, dropout: float = 0.5, negative_slope: float = 0.2,
    ) -> None:  # fmt: skip
        super().__init__()
        check_feat("label_feats", label_feats)
        check_size("heads", heads)
        count, width = len(label_feats), hidden or out_dim
        if adj.shape != (count, count):
            raise GraphKitError(f"adj has shape {list(adj.shape)}; expected [{count}, {count}], one row for each label")
        self.out_dim = out_dim
        self.register_buffer("label_feats", label_feats)
        self.dropout = Dropout(dropout)
        sizes = ((label_feats.shape[1], width), (width, out_dim))
        if learn_adj:
            self.adj = nn.Parameter(torch.empty(count, count))
            glorot(self.adj)
            self.layers = nn.ModuleList(LabelAttention(a, b, heads, negative_slope=negative_slope) for a, b in sizes)
            return
        target, source = (adj.clone().fill_diagonal_(1) > 0).nonzero().T
        self.graph = _dgl.from_arrays(source.contiguous(), target.contiguous(), count)
        self.adj = None
        self.layers = nn.ModuleList(
            GATConv(a, b, heads, negative_slope=negative_slope, concat=False, self_loops=False, bias=False)
            for a, b in sizes
        )

    def classifiers(self) -> Tensor:
        """Return ``G [C, out_dim]``."""
        x = self.label_feats
        for layer in self.layers:
            x = self.dropout(x)
            x = torch.tanh(layer(self.graph, x) if self.adj is None else layer(x, F.softplus(self.adj)))
        return x

    def forward(self, feat: Tensor) -> Tensor:
        """Return logits ``[B, C]`` for the instances' rows ``[B, out_dim]``."""
        check_feat("feat", feat, width=self.out_dim)
        return feat @ self.classifiers().T


def multilabel_metrics(label: Tensor, pred: Tensor, threshold: float = 0.5) -> dict[str, float]:
    """Micro and macro F1, and the share of wrong entries (Hamming loss), of probabilities above a threshold.

    Parameters
    ----------
    label : Tensor
        0 or 1, ``[n, C]``.
    pred : Tensor
        Probabilities, ``[n, C]``.
    threshold : float

    Returns
    -------
    dict of str to float
        ``micro_f1``, ``macro_f1`` (0 for a label that neither is true nor predicted) and ``hamming``.

    Raises
    ------
    GraphKitError
        If shapes differ.

    Examples
    --------
    >>> found = multilabel_metrics(torch.tensor([[1, 0], [1, 1]]), torch.tensor([[0.9, 0.8], [0.2, 0.7]]))
    >>> {name: round(value, 4) for name, value in found.items()}
    {'micro_f1': 0.6667, 'macro_f1': 0.6667, 'hamming': 0.5}
    """
    from sklearn.metrics import f1_score, hamming_loss

    if label.shape != pred.shape:
        raise GraphKitError(f"labels of shape {list(label.shape)} and predictions of {list(pred.shape)} do not fit")
    true, said = (label > 0.5).cpu().numpy(), (pred > threshold).cpu().numpy()
    return {
        "micro_f1": float(f1_score(true, said, average="micro", zero_division=0)),
        "macro_f1": float(f1_score(true, said, average="macro", zero_division=0)),
        "hamming": float(hamming_loss(true, said)),
    }
