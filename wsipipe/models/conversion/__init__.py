"""Conversion of networks from and to other formats.

Other CNNs, checkpoints of the GMR-Conv package, TorchScript and ONNX.
"""
