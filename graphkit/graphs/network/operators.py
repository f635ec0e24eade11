"""Networks as graphs of operators: a module through torch.fx, or a file in the format ONNX."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, fx, nn

from graphkit.core.errors import DataError, GraphKitError, nearest
from graphkit.graphs.network.trace import _symbolic, guess_input

if TYPE_CHECKING:
    import dgl

#: Types of operators by ONNX's names, in the order of their ids; ``Input`` and ``Output`` are the ends of a module.
OPERATORS = (
    "Input", "Output", "Parameter", "Abs", "Add", "And", "ArgMax", "ArgMin", "Attention", "AveragePool",
    "BatchNormalization", "Cast", "Ceil", "Celu", "Clip", "Concat", "Constant", "ConstantOfShape", "Conv",
    "ConvTranspose", "Cos", "CumSum", "DequantizeLinear", "Div", "Dropout", "Einsum", "Elu", "Embedding", "Equal",
    "Erf", "Exp", "Expand", "Flatten", "Floor", "GRU", "Gather", "GatherElements", "Gelu", "Gemm",
    "GlobalAveragePool", "GlobalMaxPool", "Greater", "GroupNormalization", "HardSigmoid", "HardSwish", "Identity",
    "InstanceNormalization", "LRN", "LSTM", "LayerNormalization", "LeakyRelu", "Less", "Log", "LogSoftmax", "MatMul",
    "Max", "MaxPool", "Mean", "Min", "Mish", "Mul", "Neg", "Not", "OneHot", "PRelu", "Pad", "Pow", "QuantizeLinear",
    "RNN", "Range", "Reciprocal", "ReduceL2", "ReduceMax", "ReduceMean", "ReduceMin", "ReduceProd", "ReduceSum",
    "Relu", "Reshape", "Resize", "Round", "ScatterND", "Selu", "Shape", "Sigmoid", "Sign", "SiLU", "Sin", "Slice",
    "Softmax", "Softplus", "Softsign", "SpaceToDepth", "Split", "Sqrt", "Squeeze", "Sub", "Sum", "Tan", "Tanh",
    "Tile", "TopK", "Transpose", "Unsqueeze", "Upsample", "Where", "Xor",
)  # fmt: skip
#: What torch calls them, where it is not the same word in small letters.
_TORCH = {
    "linear": "Gemm", "bilinear": "Gemm", "conv1d": "Conv", "conv2d": "Conv", "conv3d": "Conv",
    "convtranspose1d": "ConvTranspose", "convtranspose2d": "ConvTranspose", "convtranspose3d": "ConvTranspose",
    "batchnorm1d": "BatchNormalization", "batchnorm2d": "BatchNormalization", "batchnorm3d": "BatchNormalization",
    "batch_norm": "BatchNormalization", "layernorm": "LayerNormalization", "layer_norm": "LayerNormalization",
    "rmsnorm": "LayerNormalization", "groupnorm": "GroupNormalization", "group_norm": "GroupNormalization",
    "instancenorm1d": "InstanceNormalization", "instancenorm2d": "InstanceNormalization",
    "instancenorm3d": "InstanceNormalization", "localresponsenorm": "LRN", "maxpool1d": "MaxPool",
    "maxpool2d": "MaxPool", "maxpool3d": "MaxPool", "max_pool1d": "MaxPool", "max_pool2d": "MaxPool",
    "boolean_dispatch": "MaxPool", "avgpool1d": "AveragePool", "avgpool2d": "AveragePool", "avgpool3d": "AveragePool",
    "avg_pool1d": "AveragePool", "avg_pool2d": "AveragePool", "adaptiveavgpool1d": "GlobalAveragePool",
    "adaptiveavgpool2d": "GlobalAveragePool", "adaptiveavgpool3d": "GlobalAveragePool",
    "adaptive_avg_pool1d": "GlobalAveragePool", "adaptive_avg_pool2d": "GlobalAveragePool",
    "adaptivemaxpool1d": "GlobalMaxPool", "adaptivemaxpool2d": "GlobalMaxPool", "multiheadattention": "Attention",
    "scaled_dot_product_attention": "Attention", "relu6": "Clip", "relu_": "Relu", "clamp": "Clip", "hardtanh": "Clip",
    "leaky_relu": "LeakyRelu", "leakyrelu": "LeakyRelu", "log_softmax": "LogSoftmax", "logsoftmax": "LogSoftmax",
    "hardsigmoid": "HardSigmoid", "hardswish": "HardSwish", "dropout1d": "Dropout", "dropout2d": "Dropout",
    "dropout3d": "Dropout", "alphadropout": "Dropout", "mean": "ReduceMean", "sum": "ReduceSum", "amax": "ReduceMax",
    "amin": "ReduceMin", "norm": "ReduceL2", "prod": "ReduceProd", "iadd": "Add", "add_": "Add", "isub": "Sub",
    "imul": "Mul", "mul_": "Mul", "truediv": "Div", "floordiv": "Div", "maximum": "Max", "minimum": "Min",
    "matmul": "MatMul", "bmm": "MatMul", "mm": "MatMul", "cat": "Concat", "concat": "Concat", "stack": "Concat",
    "view": "Reshape", "unflatten": "Reshape", "permute": "Transpose", "t": "Transpose", "swapaxes": "Transpose",
    "movedim": "Transpose", "chunk": "Split", "getitem": "Slice", "narrow": "Slice", "select": "Gather",
    "index_select": "Gather", "gather": "GatherElements", "repeat": "Tile", "expand_as": "Expand", "pad": "Pad",
    "zeropad2d": "Pad", "constantpad2d": "Pad", "reflectionpad2d": "Pad", "interpolate": "Resize", "float": "Cast",
    "to": "Cast", "type_as": "Cast", "contiguous": "Identity", "clone": "Identity", "detach": "Identity",
    "rsqrt": "Reciprocal", "pixelshuffle": "SpaceToDepth", "size": "Shape", "getattr": "Shape", "masked_fill": "Where",
}  # fmt: skip
_KNOWN = {name.lower(): name for name in OPERATORS} | _TORCH


def _name(called: str, where: str) -> str:
    found = _KNOWN.get(called.lower())
    if found is None:
        close = nearest(called, _KNOWN)
        hint = f"; the nearest known is {close[0]}" if close else f"; {len(OPERATORS)} operators are known"
        raise GraphKitError(f"the operator {called} at {where} is unknown{hint}")
    return found


def _called(traced: fx.GraphModule, node: fx.Node) -> str:
    if node.op == "placeholder":
        return "Input"
    if node.op == "output":
        return "Output"
    if node.op == "get_attr":
        return "Parameter"
    if node.op == "call_module":
        return type(traced.get_submodule(str(node.target))).__name__
    return str(node.target) if node.op == "call_method" else getattr(node.target, "__name__", str(node.target))


def _shape(value: Any) -> list[int]:
    if isinstance(value, list | tuple) and value and isinstance(value[0], Tensor):
        value = value[0]
    return list(value.shape)[:5] if isinstance(value, Tensor) else []


class _Shapes(fx.Interpreter):
    """Runs a module and keeps the shapes of results."""

    def __init__(self, module: fx.GraphModule) -> None:
        super().__init__(module)
        self.extra_traceback = False
        self.shapes: dict[fx.Node, list[int]] = {}

    def run_node(self, n: fx.Node) -> Any:
        """Run one operator."""
        try:
            out = super().run_node(n)
        except Exception as error:
            text = " ".join(str(error).split("\n")[0].split())[:160]
            raise GraphKitError(f"{n.name!r} cannot read the example: {text}; give another example_input") from error
        self.shapes[n] = _shape(out)
        return out


def operator_graph(module: nn.Module, example_input: Any = None) -> dgl.DGLGraph:
    """Turn a network into the graph of its operators, with edges as data flow.

    Operators that the tracer of weights does not know may take part, as long as they have a name in ``OPERATORS``.

    Parameters
    ----------
    module : nn.Module
    example_input : Tensor or tuple of Tensor, optional
        A batch of one; guessed from the first layer when None.

    Returns
    -------
    dgl.DGLGraph
        Node fields ``ntype`` (int64, place in :data:`OPERATORS`), ``feat`` (float32, one-hot type and ``log(1 + p)`` of
        the number of its parameters), ``params`` (int64) and ``shape`` (int64 ``[N, 5]``, of the result, 0 where there
        is no axis); edge field ``slot`` (which argument).

    Raises
    ------
    GraphKitError
        If torch.fx cannot trace it, an operator is unknown (named), or it cannot read the example.

    Examples
    --------
    >>> graph = operator_graph(nn.Sequential(nn.Linear(2, 3), nn.ReLU()))
    >>> [OPERATORS[i] for i in graph.ndata["ntype"]], graph.num_edges()
    (['Input', 'Gemm', 'Relu', 'Output'], 3)
    """
    if not isinstance(module, nn.Module):
        raise GraphKitError(f"got a {type(module).__name__}; expected a torch.nn.Module")
    traced, _ = _symbolic(module)
    nodes = list(traced.graph.nodes)
    kinds = [_name(_called(traced, node), repr(node.name)) for node in nodes]
    runner = _Shapes(traced)
    given = guess_input(module) if example_input is None else example_input
    modes = {part: part.training for part in module.modules()}
    module.eval()
    try:
        with torch.no_grad():
            runner.run(*(given if isinstance(given, list | tuple) else (given,)))
    finally:
        for part, mode in modes.items():
            part.training = mode
    place = {node: i for i, node in enumerate(nodes)}
    flow = [(place[u], i, k) for i, node in enumerate(nodes) for k, u in enumerate(node.all_input_nodes)]
    params = [_count(traced, node) for node in nodes]
    shape = torch.zeros(len(nodes), 5, dtype=torch.int64)
    for i, node in enumerate(nodes):
        found = runner.shapes.get(node, [])
        shape[i, : len(found)] = torch.tensor(found, dtype=torch.int64)
    return _build(kinds, flow, params, {"shape": shape})


def _count(traced: fx.GraphModule, node: fx.Node) -> int:
    if node.op == "call_module":
        return sum(p.numel() for p in traced.get_submodule(str(node.target)).parameters())
    if node.op == "get_attr":
        parameters = dict(traced.named_parameters())
        return parameters[str(node.target)].numel() if str(node.target) in parameters else 0
    return 0


def _build(kinds: list[str], flow: list[tuple[int, int, int]], params: list[int], more: dict) -> dgl.DGLGraph:
    from graphkit.graphs.build import graph

    codes = {name: i for i, name in enumerate(OPERATORS)}
    ntype = torch.tensor([codes[name] for name in kinds])
    count = torch.tensor(params)
    feat = torch.cat([nn.functional.one_hot(ntype, len(OPERATORS)), torch.log1p(count.float()).unsqueeze(1)], dim=1)
    src, dst, slot = zip(*flow, strict=True) if flow else ((), (), ())
    fields = {"feat": feat.float(), "ntype": ntype, "params": count, **more}
    return graph(list(src), list(dst), len(kinds), fields, {"slot": torch.tensor(slot, dtype=torch.int64)})


def from_onnx(path: str | os.PathLike, keep: bool = False) -> dgl.DGLGraph:
    """Read the graph of operators of an ONNX file, without the package ``onnx`` and without running anything.

    Parameters
    ----------
    path : str or path-like
    keep : bool
        Keep ``Constant`` and ``ConstantOfShape``, which are no part of the architecture.

    Returns
    -------
    dgl.DGLGraph
        As :func:`operator_graph` gives it, without ``shape``; ``params`` counts the numbers of the initialisers that an
        operator reads.

    Raises
    ------
    DataError
        If the file is missing, truncated or not ONNX, or has an operator that is unknown (named).

    Examples
    --------
    >>> from_onnx("missing.onnx")
    Traceback (most recent call last):
    graphkit.core.errors.DataError: there is no file missing.onnx
    """
    from graphkit.data.readers.onnx import initializers, operators

    path = Path(path)
    if not path.is_file():
        raise DataError(f"there is no file {path.name}")
    data = path.read_bytes()
    found = operators(data, path.name)
    sizes = initializers(data)
    found = [one for one in found if keep or one.kind not in ("Constant", "ConstantOfShape")]
    codes = {name.lower(): name for name in OPERATORS}
    giver: dict[str, int] = {name: i for i, one in enumerate(found) for name in one.outputs if name}
    for i, one in enumerate(found):
        if one.kind.lower() not in codes:
            close = nearest(one.kind, OPERATORS)
            hint = f"; the nearest known is {close[0]}" if close else ""
            raise DataError(f"{path.name}, operator {i} is {one.kind}, which is unknown{hint}")
    flow = [(giver[name], i, k) for i, one in enumerate(found) for k, name in enumerate(one.inputs) if name in giver]
    late = [(u, v) for u, v, _ in flow if u >= v]
    if late:
        raise DataError(f"{path.name}, operator {late[0][1]} takes a value that a later operator gives")
    params = [sum(sizes.get(name, 0) for name in one.inputs) for one in found]
    return _build([codes[one.kind.lower()] for one in found], flow, params, {})
