"""Model directory -> ONNX graphs whose weights stay in model.safetensors. docs/exporting.md describes them.

Needs the packages of the extra `export` (onnx; onnxruntime to check the graphs).
"""
