"""TensorRT plans of a model directory, built ahead of time. docs/exporting.md describes them.

Needs onnx and the Python bindings of TensorRT-RTX (the extra `tensorrt`) or of TensorRT.
"""
