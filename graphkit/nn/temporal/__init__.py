"""Layers of temporal networks: codes of time, memories of nodes, attention over past neighbours."""

from graphkit.nn.temporal.attention import TemporalAttention, TemporalStack
from graphkit.nn.temporal.code import TimeEncode
from graphkit.nn.temporal.memory import NodeMemory, NodeState
from graphkit.nn.temporal.ncache import NCache
from graphkit.nn.temporal.pres import PRESFilter, PRESMemory, coherence_loss
from graphkit.nn.temporal.signed import SignedMemory
from graphkit.nn.temporal.state import Clocks, GrowingState

__all__ = [
    "Clocks",
    "GrowingState",
    "NCache",
    "NodeMemory",
    "NodeState",
    "PRESFilter",
    "PRESMemory",
    "SignedMemory",
    "TemporalAttention",
    "TemporalStack",
    "TimeEncode",
    "coherence_loss",
]
