"""Running a network once and following its neurons, operator by operator, through torch.fx."""

from __future__ import annotations

import operator
from typing import Any

import torch
from torch import Tensor, fx, nn

from graphkit.core.errors import GraphKitError, nearest
from graphkit.graphs.network import known, rules
from graphkit.graphs.network.records import ACTIVATIONS, Wiring
from graphkit.graphs.network.values import Learned, Neurons, Raw, Value, owners, per_neuron


def _symbolic(module: nn.Module) -> tuple[fx.GraphModule, str]:
    """Return the traced module, and what its parameters' names begin with there.

    Raises
    ------
    GraphKitError
        If its forward decides by values, or cannot be traced otherwise.
    """
    leaf = type(module).__module__.startswith("torch.nn") and not isinstance(module, nn.Sequential)
    root = nn.Sequential(module) if leaf else module
    try:
        return fx.GraphModule(root, fx.Tracer().trace(root)), "0." if leaf else ""
    except GraphKitError:
        raise
    except Exception as error:
        raise GraphKitError(
            f"torch.fx cannot trace {type(module).__name__}: {' '.join(str(error).split())[:200]}"
        ) from error


def guess_input(module: nn.Module) -> Tensor:
    """Return zeros that the network's first layer can read.

    Raises
    ------
    GraphKitError
        If no layer tells its input's shape.

    Examples
    --------
    >>> guess_input(nn.Sequential(nn.Flatten(), nn.Linear(4, 2))).shape
    torch.Size([1, 4])
    """
    for part in module.modules():
        if isinstance(part, nn.Linear):
            return torch.zeros(1, part.in_features, dtype=part.weight.dtype)
        if isinstance(part, known.CONVS):
            space = (32, 32, 32)[: part.weight.dim() - 2]
            return torch.zeros(1, part.in_channels, *space, dtype=part.weight.dtype)
        if isinstance(part, nn.Embedding):
            return torch.zeros(1, 8, dtype=torch.int64)
        if isinstance(part, nn.MultiheadAttention):
            return torch.zeros(1, 8, part.embed_dim)
    raise GraphKitError(f"no layer of {type(module).__name__} tells the shape of its input; give example_input")


class Tracer(fx.Interpreter):
    """Runs a traced network on an example and keeps, for each operator, what became of the neurons.

    Parameters
    ----------
    module : fx.GraphModule
    prefix : str
        What the names of parameters begin with; cut off in the wiring.

    Attributes
    ----------
    wiring : Wiring
    """

    def __init__(self, module: fx.GraphModule, prefix: str = "") -> None:
        super().__init__(module)
        self.extra_traceback = False  # it would add lines to our errors
        self.wiring, self.prefix = Wiring(), prefix
        self.values: dict[fx.Node, Value] = {}
        self.seen: dict[int, str] = {}
        self.names = {id(p): name for name, p in module.named_parameters()}

    def run_node(self, n: fx.Node) -> Any:
        """Run one operator and follow the neurons through it."""
        try:
            out = super().run_node(n)
        except Exception as error:
            text = " ".join(str(error).split("\n")[0].split())[:160]
            raise GraphKitError(f"{n.name!r} cannot read the example: {text}; give another example_input") from error
        self.values[n] = self._follow(n, out)
        return out

    def value(self, argument: Any) -> Value:
        """Return what is known of an argument."""
        if isinstance(argument, list | tuple):
            return [self.value(part) for part in argument]
        return self.values.get(argument) if isinstance(argument, fx.Node) else None

    def claim(self, name: str, where: str) -> None:
        """Note that a parameter is used.

        Raises
        ------
        GraphKitError
            If it was used before.
        """
        parameter = self.module.get_parameter(name)
        if id(parameter) in self.seen:
            raise GraphKitError(
                f"the parameter {name.removeprefix(self.prefix)!r} is used by {self.seen[id(parameter)]} and again by "
                f"{where}; a parameter graph holds each weight once, so it cannot show shared weights"
            )
        self.seen[id(parameter)] = where

    def _follow(self, n: fx.Node, out: Any) -> Value:
        if n.op == "placeholder":
            return Raw() if isinstance(out, Tensor) else None
        if n.op == "get_attr":
            if not isinstance(out, nn.Parameter):
                return None
            self.claim(self.names[id(out)], repr(n.target))
            index = torch.arange(out.numel()).view(out.shape)
            return Learned(self.names[id(out)], index, tuple(out.shape))
        if n.op == "output":
            rules.output(self.wiring, self.value(n.args[0]))
            return None
        args, kwargs = self.fetch_args_kwargs_from_env(n)
        if n.op == "call_module":
            return self._module(n, args, kwargs, out)
        name = n.target if n.op == "call_method" else getattr(n.target, "__name__", str(n.target))
        return self._function(n, str(name), args, kwargs, out)

    def _activate(self, value: Value, name: str) -> Value:
        if name and isinstance(value, Neurons):
            column = self.wiring.column("activation")
            plain = value.owner[column[value.owner] == 0]
            column[plain] = ACTIVATIONS.index(name)
        return value

    def _module(self, n: fx.Node, args: tuple, kwargs: dict, out: Any) -> Value:
        module, name = self.module.get_submodule(str(n.target)), str(n.target)
        value, wiring = self.value(n.args[0] if n.args else next(iter(n.kwargs.values()), None)), self.wiring
        kind = type(module).__name__
        if any(True for _ in module.parameters()):
            for part, _ in module.named_parameters():
                self.claim(f"{name}.{part}", repr(name))
        if isinstance(module, nn.Linear):
            bias = None if module.bias is None else (f"{name}.bias", module.bias)
            return rules.dense(wiring, value, args[0], (f"{name}.weight", module.weight), bias, repr(name))
        if isinstance(module, known.CONVS):
            return rules.conv(wiring, value, args[0], module, name)
        if isinstance(module, known.NORMS):
            return rules.norm(wiring, value, args[0], module, name)
        if isinstance(module, nn.Embedding):
            return rules.embedding(wiring, module, name, out.dim() - 1)
        if isinstance(module, nn.MultiheadAttention):
            return rules.attention(wiring, [self.value(a) for a in n.args[:3]], args[0], module, name)
        if isinstance(module, nn.PReLU):
            read = owners(wiring, value, 1, module.num_parameters, repr(name))
            if module.num_parameters < args[0].shape[1]:
                raise GraphKitError(f"{name!r} has one slope for all neurons; expected one for each")
            wiring.uses.append(per_neuron(f"{name}.weight", (len(read),), "scale", read))
            return self._activate(Neurons(1, read), "other")
        if (act := known.elementwise(kind)) is not None:
            return self._activate(value, act)
        if isinstance(module, known.POOLS):
            return value
        return rules.moved(wiring, [value], [args[0]], lambda swapped: module(swapped[0]), repr(name))

    def _function(self, n: fx.Node, name: str, args: tuple, kwargs: dict, out: Any) -> Value:
        value = self.value(n.args[0]) if n.args else None
        if isinstance(value, list) and name == "getitem":
            return value[int(n.args[1])]  # type: ignore[arg-type]
        if not isinstance(out, Tensor | tuple | list):
            return None
        where = repr(n.name)
        if name in known.REDUCTIONS and (
            name not in {"max", "min"} or not isinstance(args[-1], Tensor) or len(args) < 2
        ):
            dims = kwargs.get("dim", args[1] if len(args) > 1 else None)
            return rules.reduced(value, args[0], out, dims, where)
        if name in known.BINARY:
            values = [self.value(a) for a in n.args[:2]]
            return rules.binary(self.wiring, values, list(args[:2]), out, known.BINARY[name], where)
        if name == "linear":
            return self._linear(n, args, kwargs, where)
        if name in known.MOVES:
            return self._moved(n, args, kwargs, where)
        if (act := known.elementwise(name)) is not None:
            if isinstance(value, Learned):
                raise GraphKitError(f"{where} changes the parameter {value.name!r} before it is used")
            return self._activate(value, act)
        if name in known.POOL_NAMES:
            return value
        choices = [*known.ELEMENTWISE, *known.BINARY, *known.MOVES, *known.POOL_NAMES, *known.REDUCTIONS, "linear"]
        if not any(isinstance(self.value(a), Neurons | Raw | Learned) for a in n.all_input_nodes):
            return None
        raise _unknown(f"the operator {name} at {where}", name, choices)

    def _linear(self, n: fx.Node, args: tuple, kwargs: dict, where: str) -> Value:
        given = [*n.args, *n.kwargs.values()]
        parts: list[Any] = [self.value(a) for a in given]
        tensors = [*args, *kwargs.values()]
        pairs = [(p.name, x) if isinstance(p, Learned) else None for p, x in zip(parts[1:], tensors[1:], strict=True)]
        if not pairs or pairs[0] is None:
            raise GraphKitError(f"{where} is a linear map whose weight is no parameter")
        return rules.dense(self.wiring, parts[0], tensors[0], pairs[0], pairs[1] if len(pairs) > 1 else None, where)

    def _moved(self, n: fx.Node, args: tuple, kwargs: dict, where: str) -> Value:
        listed = isinstance(n.args[0], list | tuple)
        nodes = list(n.args[0]) if listed else [n.args[0]]  # type: ignore[arg-type]
        tensors = list(args[0]) if listed else [args[0]]
        if not all(isinstance(x, Tensor) for x in tensors):
            return None

        def apply(swapped: list[Tensor]) -> Any:
            first = swapped if listed else swapped[0]
            if n.op == "call_method":
                return getattr(first, str(n.target))(*args[1:], **kwargs)
            function: Any = operator.getitem if n.target is operator.getitem else n.target
            return function(first, *args[1:], **kwargs)

        return rules.moved(self.wiring, [self.value(node) for node in nodes], tensors, apply, where)


def _unknown(what: str, name: str, choices: list[str]) -> GraphKitError:
    close = nearest(name, choices)
    hint = f"the nearest that it knows is {close[0]}" if close else f"it knows {', '.join(choices[:8])} and more"
    return GraphKitError(f"{what} is unknown to the tracer; {hint}")


def _check_modules(traced: fx.GraphModule) -> None:
    """Name the first module that the tracer does not know, before anything runs."""
    for node in traced.graph.nodes:
        if node.op != "call_module":
            continue
        module, kind = traced.get_submodule(str(node.target)), type(traced.get_submodule(str(node.target))).__name__
        empty = not any(True for _ in module.parameters())
        plain = known.elementwise(kind) is not None or isinstance(module, (*known.POOLS, *known.MOVE_MODULES))
        if not isinstance(module, known.WITH_PARAMETERS) and not (empty and plain):
            raise _unknown(f"the module {kind} at {str(node.target)!r}", kind, known.known_modules())


def wire(module: nn.Module, example_input: Any = None) -> Wiring:
    """Return the neurons of a network and the use of each parameter; arguments and errors as for :func:`trace`.

    >>> wire(nn.Sequential(nn.Linear(2, 3), nn.ReLU(), nn.Linear(3, 1))).num_nodes
    6
    """
    return trace(module, example_input).wiring


def trace(module: nn.Module, example_input: Any = None) -> Tracer:
    """Run a network once, following its neurons; uses of parameters come in the order of ``named_parameters``.

    Parameters
    ----------
    module : nn.Module
    example_input : Tensor or tuple of Tensor, optional
        What it can read, a batch of one; guessed from its first layer when None.

    Returns
    -------
    Tracer
        With the ``wiring``, and what is known of each operator's result in ``values``.

    Raises
    ------
    GraphKitError
        If it has no parameters, has an operator that the tracer does not know (named), shares weights, cannot read the
        example, or leaves a parameter unused.

    Examples
    --------
    >>> [use.name for use in trace(nn.Linear(2, 3)).wiring.uses]
    ['weight', 'bias']
    """
    if not isinstance(module, nn.Module):
        raise GraphKitError(f"got a {type(module).__name__}; expected a torch.nn.Module")
    if not any(True for _ in module.parameters()):
        raise GraphKitError(f"{type(module).__name__} has no parameters, so there is no parameter graph of it")
    traced, prefix = _symbolic(module)
    _check_modules(traced)
    tracer = Tracer(traced, prefix)
    given = guess_input(module) if example_input is None else example_input
    given = tuple(given) if isinstance(given, list | tuple) else (given,)
    modes = {part: part.training for part in module.modules()}
    try:
        module.eval()
        with torch.no_grad():
            tracer.run(*given)
    finally:
        for part, mode in modes.items():
            part.training = mode
    wiring = tracer.wiring
    for use in wiring.uses:
        use.name = use.name.removeprefix(prefix)
    wiring.buffers = {name.removeprefix(prefix): axes for name, axes in wiring.buffers.items()}
    found = {use.name: use for use in wiring.uses}
    names = [name for name, _ in module.named_parameters()]
    missing = [name for name in names if name not in found]
    if missing:
        raise GraphKitError(
            f"the parameters {', '.join(missing[:5])} of {type(module).__name__} take no part in its output"
        )
    wiring.uses = [found[name] for name in names]
    return tracer
