//! Kernels and how the agent speaks with them. Written by agent-kernel.
