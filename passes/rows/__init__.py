"""Regions that run row by row: the lengths of their values, when each is computed, and the loops of their kernels."""
