"""The operators that the tracer knows, by what they do to neurons."""

from __future__ import annotations

from torch import nn

#: Modules and functions that act on each number alone, or keep the shape, by the name of the activation they are.
ELEMENTWISE: dict[str, str] = {
    "relu": "relu", "relu_": "relu", "relu6": "relu", "gelu": "gelu", "tanh": "tanh", "tanh_": "tanh",
    "sigmoid": "sigmoid", "silu": "silu", "leaky_relu": "leaky_relu", "elu": "elu", "selu": "elu", "celu": "elu",
    "sin": "sin", "cos": "other", "mish": "other", "softplus": "other", "softsign": "other", "hardtanh": "other",
    "hardswish": "other", "hardsigmoid": "other", "logsigmoid": "other", "softmax": "other", "log_softmax": "other",
    "exp": "other", "log": "other", "sqrt": "other", "rsqrt": "other", "square": "other", "abs": "other",
    "clamp": "other", "threshold": "other",
    "dropout": "", "alpha_dropout": "", "dropout1d": "", "dropout2d": "", "dropout3d": "", "identity": "", "neg": "",
    "contiguous": "", "clone": "", "detach": "", "float": "", "double": "", "to": "", "type": "", "type_as": "",
}  # fmt: skip
#: Modules that pool or resize space, and leave channels where they are.
POOLS = (
    nn.MaxPool1d, nn.MaxPool2d, nn.MaxPool3d, nn.AvgPool1d, nn.AvgPool2d, nn.AvgPool3d, nn.AdaptiveAvgPool1d,
    nn.AdaptiveAvgPool2d, nn.AdaptiveAvgPool3d, nn.AdaptiveMaxPool1d, nn.AdaptiveMaxPool2d, nn.AdaptiveMaxPool3d,
    nn.Upsample, nn.ZeroPad2d, nn.ReflectionPad2d, nn.ReplicationPad2d, nn.ConstantPad2d,
)  # fmt: skip
#: Functions that do the same.
POOL_NAMES = {
    "max_pool1d", "max_pool2d", "max_pool3d", "avg_pool1d", "avg_pool2d", "avg_pool3d", "adaptive_avg_pool1d",
    "adaptive_avg_pool2d", "adaptive_avg_pool3d", "adaptive_max_pool1d", "adaptive_max_pool2d", "interpolate",
    "boolean_dispatch", "_adaptive_avg_pool2d",
}  # fmt: skip
#: Functions that only move numbers.
MOVES = {
    "flatten", "view", "reshape", "permute", "transpose", "t", "squeeze", "unsqueeze", "getitem", "chunk", "split",
    "expand", "expand_as", "repeat", "flip", "roll", "narrow", "movedim", "swapaxes", "unflatten", "cat", "concat",
    "stack", "view_as", "reshape_as", "getattr", "pixel_shuffle", "select",
}  # fmt: skip
#: Modules that only move numbers.
MOVE_MODULES = (nn.Flatten, nn.Unflatten, nn.PixelShuffle, nn.PixelUnshuffle)
#: Functions of two tensors, entry by entry; True where the second scales the first.
BINARY = {
    "add": False, "add_": False, "iadd": False, "sub": False, "isub": False, "maximum": False, "minimum": False,
    "mul": True, "imul": True, "mul_": True, "truediv": True, "div": True, "itruediv": True, "pow": True,
}  # fmt: skip
#: Functions that reduce axes.
REDUCTIONS = {"mean", "sum", "amax", "amin", "max", "min", "logsumexp", "norm", "var", "std"}
NORMS = (
    nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d, nn.LayerNorm, nn.GroupNorm, nn.InstanceNorm1d, nn.InstanceNorm2d,
    nn.InstanceNorm3d, *((nn.RMSNorm,) if hasattr(nn, "RMSNorm") else ()),
)  # fmt: skip
CONVS = (nn.Conv1d, nn.Conv2d, nn.Conv3d)
WITH_PARAMETERS = (nn.Linear, *CONVS, *NORMS, nn.Embedding, nn.MultiheadAttention, nn.PReLU)
#: Modules whose names above are spelled as functions.
_SPELLED = {
    "LeakyReLU": "leaky_relu", "LogSoftmax": "log_softmax", "LogSigmoid": "logsigmoid", "AlphaDropout": "alpha_dropout",
}  # fmt: skip


def elementwise(name: str) -> str | None:
    """Return the activation that a module or function named ``name`` is, "" for none, None if it is no such thing.

    >>> elementwise("LeakyReLU"), elementwise("Dropout2d"), elementwise("LSTM")
    ('leaky_relu', '', None)
    """
    return ELEMENTWISE.get(_SPELLED.get(name, name.lower()))


def known_modules() -> list[str]:
    """Return the names of the modules with parameters that the tracer knows.

    >>> "Linear" in known_modules()
    True
    """
    return [c.__name__ for c in WITH_PARAMETERS]
