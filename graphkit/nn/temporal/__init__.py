"""Layers of temporal networks: codes of time, memories of nodes, attention over past neighbours."""

from graphkit.nn.temporal.state import GrowingState

__all__ = ["GrowingState"]
