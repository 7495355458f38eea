#!/usr/bin/env bash
# Teaches the heads of smollm2-135m-mtp from nothing but the base model and prompts: four runs, each but the
# first going on with the heads of the one before. Their fits take five hours, writing and recording come before.
#
#   pip install ".[train]" && benchmarks/teach_heads.sh RUNS GSM8K_TRAIN.jsonl [SHARE]
#
# RUNS is a folder for the run folders; the last one's model is RUNS/fourth/model. SHARE scales tokens and hours:
# 0.01 is a trial of a quarter of an hour. A script that was cut off goes on where it stopped.
set -euo pipefail
(($# >= 2)) || { sed -n 2,8p "$0" | cut -c3- >&2; exit 2; }
runs=$(realpath -m "$1") gsm8k=$(realpath "$2") share=${3:-1}
cd "$(dirname "$0")/.."
mkdir -p "$runs"

scaled() { awk -v value="$1" -v share="$share" -v form="$2" 'BEGIN { printf form, value * share }'; }

prompts() { # NAME OPTION...
  python benchmarks/training_prompts.py "$runs/$1.jsonl" --gsm8k "$gsm8k" "${@:2}"
}

teach() { # NAME TOKENS HOURS OPTION...
  local run=$runs/$1 tokens hours resume=()
  [[ -e $run/model/config.json ]] && return
  [[ -d $run ]] && resume=(--resume)
  tokens=$(scaled "$2" %d) hours=$(scaled "$3" %.5f)
  mtp-rt distill "$run" --prompts "$runs/$1.jsonl" --tokens "$tokens" --hours "$hours" \
    --ship-vocab 12288 "${@:4}" "${resume[@]}"
}

prompts first --at-most chat=1 --at-most calls=1 --at-most doctest=1 --at-most facts=1 --at-most brief=1
teach first 2300000 2.1 --temperatures 0,0,0,0.7

prompts second --seed 2
teach second 1310000 1 --temperatures 0,0,0,0.7 --answer-tokens 160 --seed 2 \
  --start "$runs/first/model" --learning-rate 1e-3

prompts third --seed 2031 --at-most chat=5500 --at-most maths=2500 --at-most writing=2000 --at-most question=700 \
  --at-most calls=1 --at-most doctest=1 --at-most facts=1 --at-most brief=1
teach third 1900000 0.9 --temperatures 0,0,0,0.7 --answer-tokens 160 --seed 2031 --preset tapped \
  --start "$runs/second/model" --learning-rate 1e-3

prompts fourth --seed 2032 --at-most chat=1200 --at-most maths=1450 --at-most function=530 --at-most program=460 \
  --at-most code=1120 --at-most question=330 --at-most writing=1000 --at-most doctest=1000 --at-most calls=600
teach fourth 1900000 1 --temperatures 0,0,0,0.7 --answer-tokens 160 --seed 2032 --preset tapped \
  --start "$runs/third/model" --learning-rate 1e-3
