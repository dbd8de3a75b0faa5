"""Networks of other tools: ONNX files with a card."""
