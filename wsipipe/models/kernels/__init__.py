"""Implementations of the ring convolution, and the choice among them.

Three exact ways: dense, two-step, and fused by the compiled kernels.
"""
