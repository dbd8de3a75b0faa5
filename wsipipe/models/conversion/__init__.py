"""Networks from and to other forms: other CNNs, the authors' checkpoints, TorchScript and ONNX."""
