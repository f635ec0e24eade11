"""What each known operator does to neurons: makes a layer of them, joins two, moves them, or leaves them alone."""

from __future__ import annotations

from typing import Any

import numpy as np
from torch import Tensor, nn

from graphkit.core.errors import GraphKitError
from graphkit.graphs.network.records import Use, Wiring
from graphkit.graphs.network.values import (
    Learned,
    Neurons,
    Raw,
    Value,
    attach,
    from_ids,
    ids_tensor,
    owners,
    per_neuron,
    places,
    rank_within,
)


def dense(
    wiring: Wiring, value: Value, x: Tensor, weight: tuple[str, Tensor], bias: tuple[str, Tensor] | None, where: str
) -> Neurons:
    """Wire a linear map over the last axis."""
    name, (out, into) = weight[0], weight[1].shape
    read = owners(wiring, value, x.dim() - 1, into, where)
    new = wiring.add(out, "hidden")
    coord, sizes = places(rank_within(read))
    size = out * into
    wiring.uses.append(
        Use(name, (out, into), np.full(size, "linear"), np.repeat(new, into), np.tile(read, out),
            np.tile(coord, (out, 1)), (new, read), sizes)
    )  # fmt: skip
    if bias is not None:
        wiring.uses.append(per_neuron(bias[0], (out,), "bias", new))
    return Neurons(x.dim() - 1, new)


def conv(wiring: Wiring, value: Value, x: Tensor, module: Any, name: str) -> Neurons:
    """Wire a convolution: one node for each channel, parallel edges for the places of the kernel."""
    out, share, *kernel = module.weight.shape
    if x.dim() != len(kernel) + 2:
        raise GraphKitError(
            f"{name!r} was given an input of {x.dim()} axes; expected a batch of {len(kernel) + 2} axes"
        )
    read = owners(wiring, value, 1, module.in_channels, repr(name))
    new = wiring.add(out, "hidden")
    first = np.arange(out) // (out // module.groups) * share
    source = read[first[:, None] + np.arange(share)]  # [out, in / groups]
    cells = int(np.prod(kernel))
    grid = np.stack(np.meshgrid(*(np.arange(k) for k in kernel), indexing="ij"), -1).reshape(cells, -1)
    coord = np.full((cells, 3), -1, dtype=np.int64)
    coord[:, : grid.shape[1]] = grid
    sizes = (*kernel, *[1] * (3 - len(kernel)))
    axes = (new, read if module.groups == 1 else None, *[None] * len(kernel))
    wiring.uses.append(
        Use(f"{name}.weight", tuple(module.weight.shape), np.full(out * share * cells, "conv"),
            np.repeat(new, share * cells), np.repeat(source.reshape(-1), cells), np.tile(coord, (out * share, 1)), axes,
            sizes)
    )  # fmt: skip
    if module.groups > 1:
        if share == 1 and out == len(read):
            wiring.ties.append((new, read))
        else:
            wiring.fixed += [new, read]
    if module.bias is not None:
        wiring.uses.append(per_neuron(f"{name}.bias", (out,), "bias", new))
    return Neurons(1, new)


def norm(wiring: Wiring, value: Value, x: Tensor, module: Any, name: str) -> Neurons:
    """Wire a normalisation: a scale and a shift for each neuron, and no new neurons."""
    inner = tuple(getattr(module, "normalized_shape", ()))
    if inner:
        axis = value.axis if isinstance(value, Neurons) and value.axis is not None else x.dim() - 1
        where = axis - (x.dim() - len(inner))
    else:
        axis, where = 1, 0
    read = owners(wiring, value, axis, x.shape[axis], repr(name))
    if where < 0:
        raise GraphKitError(f"{name!r} normalises axes {list(inner)}, but its input's neurons lie along axis {axis}")
    groups = getattr(module, "num_groups", 1)
    if 1 < groups < len(read):
        wiring.fixed.append(read)
    for part, kind in (("weight", "scale"), ("bias", "shift")):
        parameter = getattr(module, part, None)
        if parameter is not None:
            wiring.uses.append(per_neuron(f"{name}.{part}", tuple(parameter.shape), kind, read, where))
    for part in ("running_mean", "running_var"):
        if getattr(module, part, None) is not None:
            wiring.buffers[f"{name}.{part}"] = (read,)
    return Neurons(axis, read)


def embedding(wiring: Wiring, module: nn.Embedding, name: str, dims: int) -> Neurons:
    """Wire an embedding: words are input neurons, in the order of their ids."""
    words, width = module.weight.shape
    read, new = wiring.add(words, "input", ordered=True), wiring.add(width, "hidden")
    wiring.fixed.append(read)
    size = words * width
    wiring.uses.append(
        Use(f"{name}.weight", (words, width), np.full(size, "embedding"), np.tile(new, words), np.repeat(read, width),
            np.full((size, 3), -1), (read, new))
    )  # fmt: skip
    return Neurons(dims, new)


def attention(wiring: Wiring, values: list[Value], x: Tensor, module: Any, name: str) -> list[Value]:
    """Wire self-attention: query and key share neurons, the value has its own, and each head has a node between them.

    So both symmetries are in the graph: neurons of a head, and heads, may change places.
    """
    if module.in_proj_weight is None or module.bias_k is not None:
        raise GraphKitError(f"{name!r} is attention with kdim, vdim or bias_k, which the tracer does not know")
    if not all(v is values[0] for v in values):
        raise GraphKitError(f"{name!r} attends to another tensor than its queries; expected self-attention")
    width, heads, axis = module.embed_dim, module.num_heads, x.dim() - 1
    read = owners(wiring, values[0], axis, width, repr(name))
    matched, carried = wiring.add(width, "hidden"), wiring.add(width, "hidden")
    new = wiring.add(width, "hidden")
    wiring.fixed += [matched, carried]
    rows = np.concatenate([matched, matched, carried])
    kinds = np.repeat(["query", "key", "value"], width)
    wiring.uses.append(
        Use(f"{name}.in_proj_weight", (3 * width, width), np.repeat(kinds, width), np.repeat(rows, width),
            np.tile(read, 3 * width), np.full((3 * width * width, 3), -1), (None, read))
    )  # fmt: skip
    if module.in_proj_bias is not None:
        kinds = np.char.add(kinds, " bias")
        wiring.uses.append(
            Use(f"{name}.in_proj_bias", (3 * width,), kinds, rows, None, np.full((3 * width, 3), -1), (None,))
        )
    wiring.uses.append(
        Use(f"{name}.out_proj.weight", (width, width), np.full(width * width, "linear"), np.repeat(new, width),
            np.tile(carried, width), np.full((width * width, 3), -1), (new, None))
    )  # fmt: skip
    if module.out_proj.bias is not None:
        wiring.uses.append(per_neuron(f"{name}.out_proj.bias", (width,), "bias", new))
    layer = int(wiring.column("layer")[matched[0]])
    nodes = np.repeat(wiring.add(heads, "head", layer=layer), width // heads)
    wiring.links += [(matched, nodes, "head"), (nodes, carried, "head")]
    return [Neurons(axis, new), None]


def binary(wiring: Wiring, values: list[Value], tensors: list[Any], out: Any, gates: bool, where: str) -> Value:
    """Join two tensors entry by entry: the older neurons reach the newer ones by unit edges, and are tied to them."""
    shapes = [x.shape if isinstance(x, Tensor) else () for x in tensors]
    held = [(v, s) for v, s in zip(values, shapes, strict=True) if isinstance(v, Neurons)]
    if not held:
        raws = [v for v in values if isinstance(v, Raw)]
        if (len(raws) > 1 and raws[0] is not raws[1]) or any(isinstance(v, Learned) for v in values):
            raise GraphKitError(f"{where} joins inputs or parameters before any layer has read them")
        return raws[0] if raws else None
    target, shape = max(held, key=lambda item: int(item[0].owner.max()))
    axis = None if target.axis is None else target.axis - len(shape)  # from the right, as shapes are broadcast
    for value, other in zip(values, shapes, strict=True):
        if isinstance(value, Learned):
            attach(wiring, value, target, len(shape), "scale" if gates else "shift", where)
            continue
        if value is None or value is target:
            continue
        if axis is None:
            raise GraphKitError(f"{where} joins a single neuron with others; expected as many on both sides")
        theirs = owners(wiring, value, len(other) + axis, other[axis], where)
        if len(theirs) != len(target.owner):
            raise GraphKitError(
                f"{where} joins {len(theirs)} neurons with {len(target.owner)}; expected as many of both"
            )
        if not np.array_equal(theirs, target.owner):
            pairs = np.unique(np.stack([theirs, target.owner]), axis=1)
            wiring.links.append((pairs[0], pairs[1], "gate" if gates else "residual"))
            wiring.ties.append((theirs, target.owner))
    return Neurons(None if axis is None else out.dim() + axis, target.owner)


def moved(wiring: Wiring, values: list[Value], tensors: list[Tensor], apply: Any, where: str) -> Value:
    """Find where an operator that only moves numbers puts the neurons, by moving their ids.

    ``apply(replacements)`` runs the operator on other tensors in the places of ``tensors``.
    """
    held = [(v, x) for v, x in zip(values, tensors, strict=True) if isinstance(v, Neurons)]
    if not held:
        learned = [v for v in values if isinstance(v, Learned)]
        if learned and len(learned) == len(values) == 1:
            ids = apply([learned[0].index.contiguous()])
            return _each(ids, lambda part: Learned(learned[0].name, part, learned[0].shape))
        if learned:
            raise GraphKitError(f"{where} joins the parameter {learned[0].name!r} with what has no neurons")
        return _each(apply(tensors), lambda part: Raw()) if any(isinstance(v, Raw) for v in values) else None
    target, like = held[0]
    replaced = []
    for value, x in zip(values, tensors, strict=True):
        if isinstance(value, Learned):
            attach(wiring, value, target, like.dim(), "shift", where)
            value = Neurons(target.axis, target.owner)
        elif isinstance(value, Raw):
            axis = target.axis if target.axis is not None else 1
            value = Neurons(axis, owners(wiring, value, axis, x.shape[axis], where))
        elif value is None:
            raise GraphKitError(f"{where} joins neurons with constants, which have none")
        replaced.append(ids_tensor(value, x.shape).contiguous())  # type: ignore[arg-type]
    return _each(apply(replaced), lambda part: from_ids(part, where))


def _each(found: Any, make: Any) -> Value:
    if isinstance(found, Tensor):
        return make(found)
    if isinstance(found, list | tuple):
        return [_each(part, make) for part in found]
    return None


def reduced(value: Value, x: Tensor, out: Any, dims: Any, where: str) -> Value:
    """Follow the neurons through a mean, sum or maximum over ``dims`` (all for None)."""
    if not isinstance(value, Neurons):
        return value if isinstance(value, Raw) else None
    gone = set(range(x.dim())) if dims is None else {d % x.dim() for d in np.atleast_1d(dims).tolist()}
    if value.axis in gone:
        return [None, None] if isinstance(out, tuple) else None
    kept = out[0] if isinstance(out, tuple) else out
    axis = value.axis
    if axis is not None and kept.dim() < x.dim():
        axis -= sum(d < axis for d in gone)
    made = Neurons(axis, value.owner)
    return [made, None] if isinstance(out, tuple) else made


def output(wiring: Wiring, value: Value) -> None:
    """Mark the neurons of what the network returns as outputs."""
    from graphkit.graphs.network.records import NODE_TYPES

    if isinstance(value, list):
        for part in value:
            output(wiring, part)
    if not isinstance(value, Neurons):
        return
    kind, order = wiring.column("ntype"), wiring.column("order")
    wiring.fixed.append(value.owner)
    first = np.unique(value.owner, return_index=True)[1]
    mine = value.owner[np.sort(first)]
    mine = mine[kind[mine] == NODE_TYPES.index("hidden")]
    order[mine] = (kind == NODE_TYPES.index("output")).sum() + np.arange(len(mine))
    kind[mine] = NODE_TYPES.index("output")
