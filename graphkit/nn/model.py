"""Encoder, Model: everything that learns is ``head(encoder(graph, feat))``."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from graphkit.core.batch import Batch, Encoded, Output
from graphkit.core.check import check_feat, check_rows
from graphkit.core.errors import GraphKitError, unknown
from graphkit.core.spec import Spec


class Encoder(nn.Module):
    """Base of encoders: ``forward(batch)`` returns ``[N, D]`` or an :class:`~graphkit.core.batch.Encoded`.

    A subclass takes ``(in_feats, out_feats, ...)``, sets ``num_layers`` (message-passing layers, hence blocks, that it
    consumes) and ``out_width`` (D), and writes ``forward``. :meth:`build` makes the model for any level from it.

    Attributes
    ----------
    in_feats, out_width, num_layers : int
        Width of the rows that go in and come out, and number of message-passing layers.
    needs_graph : bool
        False for encoders that also take ``graph=None``.
    needs_training : bool
        False for systems without parameters, which ``fit`` only scores.
    runs_by_layer : bool
        True where ``run_layer(index, hop, feat)`` gives what layer ``index`` makes of the rows of the one before, so
        that predictions for all nodes of a large graph are made layer by layer.
    lr : float, optional
        Learning rate of encoder and learned rows, where it is another than the run's, which is then the head's.
    """

    needs_graph: ClassVar[bool] = True
    needs_training: ClassVar[bool] = True
    runs_by_layer: bool = False
    lr: float | None = None
    in_feats: int = 0
    out_width: int = 0
    num_layers: int = 0

    @classmethod
    def hidden_width(cls, arguments: dict[str, Any]) -> int:
        """Return ``hidden`` as given, or the constructor's default."""
        return int(arguments.get("hidden") or inspect.signature(cls).parameters["hidden"].default)

    @classmethod
    def width_for(cls, spec: Spec, arguments: dict[str, Any]) -> int | None:
        """Return the ``out_feats`` to construct with: classes at node level, else what the head is to read.

        That is the argument ``out_feats`` if given, the constructor's default if it has one, else ``hidden``.
        """
        if spec.level == "node":
            return spec.out_feats
        default = inspect.signature(cls).parameters["out_feats"].default
        return arguments.get("out_feats") or (default if isinstance(default, int) else cls.hidden_width(arguments))

    @classmethod
    def spec_arguments(cls, spec: Spec) -> dict[str, Any]:
        """Constructor arguments that the data decide, such as ``edge_feats``; none by default."""
        return {}

    def make_head(self, spec: Spec, **options: Any) -> nn.Module:
        """Return the head for ``spec.level`` over what this encoder gives; ``options`` as the user named them."""
        from graphkit.heads import build_head

        return build_head(spec, self.out_width, **options)

    @classmethod
    def build(cls, spec: Spec, **arguments: Any) -> Model:
        """Make the model of this encoder for ``spec``.

        Parameters
        ----------
        spec : Spec
        **arguments
            Arguments of the constructor, with ``out_feats`` only where the head does the predicting; of the head,
            ``decoder`` (link, triple) and ``readout`` (graph); and ``embedding``, the width of learned rows for nodes
            without features (``hidden`` unless given).

        Returns
        -------
        Model

        Raises
        ------
        GraphKitError
            For an argument that none of them knows, or nodes of graph sets without features.
        """
        _check_arguments(cls, spec, arguments)
        head = {name: arguments.pop(name) for name in ("decoder", "readout") if name in arguments}
        arguments = {**cls.spec_arguments(spec), **arguments}
        inputs, in_feats = input_stage(spec, arguments.pop("embedding", None) or cls.hidden_width(arguments))
        arguments["out_feats"] = cls.width_for(spec, arguments)
        encoder = cls(in_feats, **arguments)
        return Model(encoder, encoder.make_head(spec, **head), inputs)

    def decayed(self) -> Iterator[nn.Parameter]:
        """Yield the parameters that weight decay applies to; all of them by default."""
        yield from self.parameters()


def _check_arguments(cls: type[Encoder], spec: Spec, arguments: dict[str, Any]) -> None:
    """Raise unless the constructor of ``cls``, or the head or input stage that ``spec`` asks for, knows each name."""
    own = set(inspect.signature(cls).parameters) - {"in_feats"} - ({"out_feats"} if spec.level == "node" else set())
    beside = {"link": {"decoder"}, "triple": {"decoder"}, "graph": {"readout"}}.get(spec.level, set())
    beside = beside | (set() if spec.in_feats else {"embedding"})
    for name in arguments:
        if name not in own | beside:
            raise unknown(f"argument of {cls.__name__}", name, own | beside)


class NodeEmbedding(nn.Module):
    """Learned rows for nodes without features: ``feat_i = E[id_i]``.

    Parameters
    ----------
    num_nodes, width : int

    Examples
    --------
    >>> import graphkit, dgl
    >>> g = dgl.graph(([0, 1], [1, 2]))
    >>> NodeEmbedding(3, 4)(Batch(g, torch.zeros(3, 0))).feat.shape
    torch.Size([3, 4])
    """

    def __init__(self, num_nodes: int, width: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(num_nodes, width))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw the rows Glorot-uniform."""
        nn.init.xavier_uniform_(self.weight)

    def forward(self, batch: Batch) -> Batch:
        """Return the batch with ``feat`` the rows of its nodes (``fields["nid"]``; all nodes in order without it)."""
        nid = batch.fields.get("nid")
        if nid is None:
            check_rows("feat", batch.feat, len(self.weight), "nodes that have a learned row")
            return batch.replace(feat=self.weight)
        return batch.replace(feat=self.weight[nid])


def input_stage(spec: Spec, width: int) -> tuple[NodeEmbedding | None, int]:
    """Return the stage that gives nodes their rows, and the rows' width; no stage where there are features."""
    if spec.in_feats:
        return None, spec.in_feats
    if not spec.num_nodes:
        raise GraphKitError("the graphs have no node features; add some with a transform, such as DegreeFeatures()")
    return NodeEmbedding(spec.num_nodes, width), width


class Model(nn.Module):
    """A network: an encoder and a head, ``pred = head(encoder(batch))``.

    Parameters
    ----------
    encoder : Encoder
    head : nn.Module
        Called as ``head(encoded, batch)``.
    inputs : nn.Module, optional
        Called as ``inputs(batch) -> batch`` before the encoder; gives nodes their rows.

    Attributes
    ----------
    name, arguments, spec
        What :func:`graphkit.models.build` made it from.

    Examples
    --------
    >>> import graphkit, dgl
    >>> from graphkit.models import build
    >>> g = dgl.graph(([0, 1], [1, 2]))
    >>> model = build("gcn", Spec("node", in_feats=4, out_feats=3, num_nodes=3))
    >>> model(Batch(g, torch.ones(3, 4))).pred.shape
    torch.Size([3, 3])
    """

    def __init__(self, encoder: nn.Module, head: nn.Module, inputs: nn.Module | None = None) -> None:
        super().__init__()
        self.inputs = inputs
        self.encoder = encoder
        self.head = head
        self.name: str = ""
        self.arguments: dict[str, Any] = {}
        self.spec: Spec | None = None

    @property
    def num_layers(self) -> int:
        """Message-passing layers, hence blocks, that the encoder consumes."""
        return int(getattr(self.encoder, "num_layers", 0))

    @property
    def needs_graph(self) -> bool:
        """Whether the encoder reads ``batch.graph``."""
        return bool(getattr(self.encoder, "needs_graph", True))

    @property
    def structure_depth(self) -> int:
        """Hops around a pair whose edges the head itself reads; 0 for heads that read rows only."""
        return int(getattr(self.head, "structure_depth", 0))

    def encode(self, batch: Batch) -> Encoded:
        """Return what the encoder gives for the batch, always as :class:`Encoded`."""
        if self.inputs is not None:
            batch = self.inputs(batch)
        width = getattr(self.encoder, "in_feats", 0)
        check_feat("feat", batch.feat, width=width or None)
        out = self.encoder(batch)
        return out if isinstance(out, Encoded) else Encoded(batch.graph, out)

    def forward(self, batch: Batch) -> Output:
        """Return the prediction, the encoder's loss terms, and what it encoded."""
        encoded = self.encode(batch)
        return Output(self.head(encoded, batch), encoded.aux, encoded)

    def parameter_groups(self, weight_decay: float) -> list[dict[str, Any]]:
        """Return optimizer groups: the system decides which parameters decay, and how fast its encoder learns.

        Parameters
        ----------
        weight_decay : float

        Returns
        -------
        list of dict
            ``params`` and ``weight_decay`` each, and ``lr`` where the encoder has its own; groups without parameters
            are left out.
        """
        return _groups(self, weight_decay)


def _groups(model: Model, weight_decay: float) -> list[dict[str, Any]]:
    decayed: Callable[[], Iterator[nn.Parameter]] = getattr(model.encoder, "decayed", model.encoder.parameters)
    chosen = {id(p) for p in decayed()}
    if chosen == {id(p) for p in model.encoder.parameters()}:
        chosen |= {id(p) for p in model.parameters()}
    lr = getattr(model.encoder, "lr", None)
    slow = set() if lr is None else {id(p) for p in model.parameters()} - {id(p) for p in model.head.parameters()}
    groups: list[dict[str, Any]] = []
    for own in (False, True):
        for decays in (True, False):
            some = [p for p in model.parameters() if (id(p) in chosen) == decays and (id(p) in slow) == own]
            rate = {"lr": lr} if own else {}
            groups.append({"params": some, "weight_decay": weight_decay if decays else 0.0, **rate})
    return [group for group in groups if group["params"]]


def output_rows(batch: Batch, feat: Tensor) -> Tensor:
    """Return the rows of ``feat`` that are the batch's outputs: the first ones where it holds blocks, else all."""
    return feat if batch.blocks is None else feat[: batch.num_outputs]
