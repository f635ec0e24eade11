"""Compiled loops over compressed edges (Numba): no autograd, no torch, one thread for each call."""
