"""The Python half of a SoulBox context.

A stock ipykernel by subclass and configuration. This package knows nothing about sandboxes,
tenants or the agent: it speaks Jupyter messages, plus the two additions of README.md. Whatever it
adds for a library (pandas, matplotlib, Pillow, ...) is registered by name and costs nothing until
that library is imported by somebody else.
"""

__version__ = "0.1.0"
