"""Kernels of languages that have no good Jupyter kernel of their own, all behind one host.

The host speaks Jupyter and owns the pipes; a runner per language knows how its process is given a
cell, tells its end, and is interrupted. So streaming, counting, variables and shutting down are
written once, and a process that dies under a cell takes no kernel with it.
"""
