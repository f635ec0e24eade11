"""Compiled loops over compressed edges (Numba): no autograd, no torch, one thread each; ``ops`` decides who calls them."""
