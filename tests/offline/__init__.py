"""Compiles the kernels offline for hardware that isn't here; see offline.compile."""
