#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# Checks and measures on a GPU all that this package does there, in one call of less than ten minutes.
#
#   scripts/measure_gpu.sh [OUTPUT [DEVICE]]     (default: gpu_figures cuda)
#
# OUTPUT gets the machine's name, the log and the numbers of every step. A step that fails or takes too long does not
# stop the others; the exit code is the number of steps that failed. Needs .venv (make setup) or PYTHON.
set -uo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
readonly output=${1:-gpu_figures} device=${2:-cuda} python=${PYTHON:-.venv/bin/python}
mkdir -p "$output"
failed=0

# $1: name of the step, $2: its limit in seconds; the rest is the command.
step() {
    local name=$1 limit_s=$2 begin=$SECONDS; shift 2
    timeout -k 10 "$limit_s" "$@" >"$output/$name.log" 2>&1
    local code=$?
    [ $code = 0 ] || failed=$((failed + 1))
    echo "$name: $([ $code = 0 ] && echo done || echo "FAILED with exit code $code"), $((SECONDS - begin)) s" |
        tee -a "$output/steps.txt"
}

rm -f "$output/steps.txt"
{
    date -u
    lscpu | grep -E 'Model name|^CPU\(s\)'
    nvidia-smi --query-gpu=name,driver_version,memory.total --format=csv,noheader 2>/dev/null || echo "no nvidia-smi"
    "$python" -c 'import torch; print("torch", torch.__version__, "cuda", torch.version.cuda)'
} | tee "$output/machine.txt"

# The same map as on the CPU, and training there.
step tests 120 "$python" -m pytest -q -rs test/mapping/test_mapper.py test/training/test_trainer.py
step benchmark 150 "$python" -m neuralfusion_ros.cli benchmark --device "$device" --json "$output/benchmark.json"
# The same map quality on both.
room=(--rooms procedural:0:small --frames 40 --methods learned --samples 50000)
step quality_device 60 "$python" -m neuralfusion_ros.cli evaluate noise "${room[@]}" --device "$device" --output "$output/quality_device"
step quality_cpu 120 "$python" -m neuralfusion_ros.cli evaluate noise "${room[@]}" --device cpu --output "$output/quality_cpu"
# The steps in the log tell how long a released network would take.
rm -f "$output"/training.*
step training 140 "$python" -m neuralfusion_ros.cli train --minutes 2 --seed 0 --device "$device" --output "$output/training"
exit $failed
