#!/usr/bin/env bash
# All that needs an NVIDIA GPU in one call: installs with the CUDA part and ONNX Runtime's package for GPUs,
# builds plans and graphs of the default model, checks, tests and measures, and writes one JSON file.
#
#   MTP_RT_TENSORRT_INCLUDE=FOLDER benchmarks/gpu.sh [RESULT.json]
#
# FOLDER holds TensorRT's headers (docs/cuda.md). Installing and building plans come first and take their own
# time; the checks end within ten minutes.
set -euo pipefail
cd "$(dirname "$0")/.."

: "${MTP_RT_TENSORRT_INCLUDE:?name the folder with the headers of TensorRT; see docs/cuda.md}"
export MTP_RT_TENSORRT_INCLUDE
result=${1:-build/gpu.json}

nvidia-smi > /dev/null || { echo "no GPU: nvidia-smi is not here or lists none" >&2; exit 2; }
MTP_RT_CUDA=ON pip install ".[test,tensorrt]"
# Both packages are the folder `onnxruntime`. Without the one for GPUs the checks of its provider are skipped.
pip uninstall --yes onnxruntime
pip install 'onnxruntime-gpu[cuda,cudnn]>=1.30' ||
  pip install 'onnxruntime>=1.30; python_version >= "3.11"'
mkdir -p build "$(dirname "$result")"
mtp-rt export smollm2-135m-mtp build/plans --tensorrt --force
mtp-rt export smollm2-135m-mtp build/graphs --onnx --force
python benchmarks/gpu_checks.py --plans build/plans --graphs build/graphs --out "$result"
