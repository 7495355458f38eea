#!/usr/bin/env bash
# All that needs an NVIDIA GPU in one call: installs with the CUDA part, builds plans of the default model,
# checks, tests and measures, and writes one JSON file.
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
mkdir -p build "$(dirname "$result")"
mtp-rt export smollm2-135m-mtp build/plans --tensorrt --force
python benchmarks/gpu_checks.py --plans build/plans --out "$result"
