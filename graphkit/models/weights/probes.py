"""Probe features: what the neurons of the networks that are read say to learned inputs."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from graphkit import ops
from graphkit.core.batch import Batch
from graphkit.core.check import check_size
from graphkit.core.errors import GraphKitError
from graphkit.graphs.network.records import ACTIVATIONS, EDGE_TYPES, NODE_TYPES

if TYPE_CHECKING:
    from collections.abc import Callable

#: What a neuron may do to its sum, by the names of ``ACTIVATIONS``; not those that have a slope of their own.
FUNCTIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "relu": torch.relu, "gelu": F.gelu, "tanh": torch.tanh, "sigmoid": torch.sigmoid, "silu": F.silu, "sin": torch.sin,
}  # fmt: skip
OWN = 3  # columns of a neuron's own numbers: bias, scale and shift
FIELDS = ("ntype", "layer", "order", "activation", "etype")


class Probes(nn.Module):
    """Run perceptrons on learned inputs, all of a batch at once: ``a_v = f_v(b_v + sum_u w_uv a_u)``, layer by layer.

    Rows of neurons are ``norm(W a_v)``, with ``a_v [K]`` a neuron's answers to K inputs, and say what a network
    computes, whatever its weights.

    Parameters
    ----------
    num_inputs : int
        Inputs of every network.
    num_probes, out_feats : int
        K, and the width of the rows.

    Raises
    ------
    GraphKitError
        If the graphs are not those that :func:`graphkit.graphs.from_module` makes of perceptrons in the form
        ``kernels``, or have more inputs.

    Notes
    -----
    Kofinas et al., "Graph Neural Networks for Learning Equivariant Representations of Neural Networks",
    arXiv:2403.12143, with one map for all layers in place of one for each.

    Examples
    --------
    >>> import graphkit as gk
    >>> graph = gk.graphs.from_module(nn.Sequential(nn.Linear(2, 3), nn.ReLU(), nn.Linear(3, 1)), form="kernels")
    >>> Probes(2, 8, 4)(gk.sampling.full_batch(graph)).shape
    torch.Size([6, 4])
    """

    def __init__(self, num_inputs: int, num_probes: int, out_feats: int) -> None:
        super().__init__()
        check_size("num_inputs", num_inputs)
        check_size("num_probes", num_probes)
        self.inputs = nn.Parameter(2 * torch.rand(num_inputs, num_probes) - 1)
        self.wide, self.norm = nn.Linear(num_probes, out_feats), nn.LayerNorm(out_feats)

    def answers(self, batch: Batch) -> Tensor:
        """Return what each neuron gives for each probe, ``[N, K]``; inputs give the probes themselves."""
        graph, fields, weight = batch.graph, batch.fields, batch.edge_feat
        _check(batch, len(self.inputs))
        assert isinstance(weight, Tensor)
        layer, kind = fields["layer"], fields["activation"]
        first = (fields["ntype"] == NODE_TYPES.index("input")).unsqueeze(1)
        said = self.inputs[fields["order"].clamp(min=0, max=len(self.inputs) - 1)] * first
        one, bias = weight.sum(-1), batch.feat[:, :1]  # a kernel holds the one weight and zeros
        acts = kind.unique().tolist()
        for depth in range(1, int(layer.max()) + 1):
            made = ops.spmm(graph, said, one) + bias
            for code in acts:
                if ACTIVATIONS[code] in FUNCTIONS:
                    made = torch.where((kind == code).unsqueeze(1), FUNCTIONS[ACTIVATIONS[code]](made), made)
            said = torch.where((layer == depth).unsqueeze(1), made, said)
        return said

    def forward(self, batch: Batch) -> Tensor:
        """Return ``[N, out_feats]``."""
        return self.norm(self.wide(self.answers(batch)))


def _check(batch: Batch, num_inputs: int) -> None:
    """Raise unless the batch holds perceptrons with at most this many inputs, without convolutions and norms."""
    fields = batch.fields
    missing = [name for name in FIELDS if name not in fields]
    if missing or not isinstance(batch.edge_feat, Tensor):
        raise GraphKitError(
            f"probes read the fields {', '.join(FIELDS)} and the weights of from_module's graphs; "
            f"missing: {', '.join(missing) or 'edge_feat'}"
        )
    known = [EDGE_TYPES.index(name) for name in ("linear", "residual")]
    for code in fields["etype"].unique().tolist():
        if code not in known:
            raise GraphKitError(f"probes run perceptrons; the batch holds weights of type {EDGE_TYPES[code]!r}")
    for code in fields["activation"].unique().tolist():
        if ACTIVATIONS[code] not in ("none", *FUNCTIONS):
            raise GraphKitError(f"probes cannot run {ACTIVATIONS[code]!r}; they know {', '.join(FUNCTIONS)}")
    held = fields.get("param")  # without it, a norm that was not trained yet does not show
    if bool((batch.feat[:, 1:3] != batch.feat.new_tensor([1, 0])).any() if held is None else (held[:, 1:] >= 0).any()):
        raise GraphKitError("probes run perceptrons; the batch holds norms")
    inputs = fields["ntype"] == NODE_TYPES.index("input")
    if bool(inputs.any()) and int(fields["order"][inputs].max()) >= num_inputs:
        found = int(fields["order"][inputs].max()) + 1
        raise GraphKitError(f"the batch holds a network of {found} inputs; the probes have {num_inputs}")


def probes_for(num_probes: int, num_inputs: int, out_feats: int) -> Probes | None:
    """Return the probes that an encoder's arguments ask for, None for none.

    >>> probes_for(0, 0, 4) is None
    True
    """
    if num_probes and not num_inputs:
        raise GraphKitError("probes are inputs of the networks; say how many numbers one has, as num_inputs=64")
    return Probes(num_inputs, num_probes, out_feats) if num_probes else None


def without_weights(batch: Batch) -> Batch:
    """Return the batch with 0 for all weights, biases and norms.

    >>> import graphkit, dgl
    >>> without_weights(Batch(dgl.graph(([0], [1])), torch.ones(2, 4))).feat.tolist()[0]
    [0.0, 0.0, 0.0, 1.0]
    """
    kept = torch.cat([torch.zeros_like(batch.feat[:, :OWN]), batch.feat[:, OWN:]], dim=-1)
    edge = batch.edge_feat
    return batch.replace(feat=kept, edge_feat=torch.zeros_like(edge) if isinstance(edge, Tensor) else edge)
