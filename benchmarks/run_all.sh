#!/usr/bin/env bash
# Measures everything that docs/benchmarks.md shows and writes that page anew.
#
#   pip install ".[peers,export]" && benchmarks/run_all.sh
#
# Wants a quiet machine: another process on the same cores stalls every system that spreads a step over threads.
set -euo pipefail
cd "$(dirname "$0")/.."

record() { python benchmarks/record.py "$@"; }

mkdir -p build
python benchmarks/prompts.py build/mtp_bench.jsonl

record peers -- mtp-rt bench peers --against llama.cpp,onnxruntime-genai,transformers,llama.cpp-lookup,transformers-lookup --json
mtp-rt export smollm2-135m-mtp build/symmetric --onnx --symmetric --lm-head q4 --force
record peers_onnxruntime -- mtp-rt bench peers --model build/symmetric --engine onnxruntime --against onnxruntime-genai --repeat 7 --json
record steps -- mtp-rt bench steps --repeat 9 --json
record decode -- mtp-rt bench decode --ignore-eos --batch 1,4,16 --json
record mtp_bench -- mtp-rt bench decode --prompts build/mtp_bench.jsonl --repeat 3 --json
record evaluate -- mtp-rt evaluate --prompts build/mtp_bench.jsonl --json
record evaluate_heads -- mtp-rt evaluate --prompts build/mtp_bench.jsonl --draft-source heads --teacher-forced --json
record never_slower -- python benchmarks/never_slower.py --prompts build/mtp_bench.jsonl
record two_stage_head -- python benchmarks/two_stage_head.py
record accuracy -- python benchmarks/accuracy.py
record equality -- python benchmarks/equality.py
record equality_prompts -- python benchmarks/equality_prompts.py --prompts build/mtp_bench.jsonl
python benchmarks/stdlib_text.py build/stdlib.jsonl --prompts build/code_prompts.jsonl
record code_bytes -- mtp-rt bench decode --model code-bytes --raw --prompts build/code_prompts.jsonl --max-tokens 256 --ignore-eos --json
record planted_faults -- python tests/planted_faults/run.py --json
record training_speed -- python benchmarks/training_speed.py
record startup -- python benchmarks/startup.py
record wheel -- python benchmarks/wheel.py
# The experiments with heads take the states of a run of `mtp-rt distill` or a corpus, and an hour:
#   record head_sweep -- python benchmarks/head_sweep.py RUN build/sweep --minutes 3
#   record corpus_text -- python benchmarks/corpus_text.py build/corpus --gsm8k train.jsonl
if command -v nvcc > /dev/null; then
  record wheel_cuda -- python benchmarks/wheel.py --cuda
  record cuda_resources -- python benchmarks/cuda_resources.py
fi
python benchmarks/report.py
