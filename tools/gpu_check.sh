#!/usr/bin/env bash
# What one GPU says, in under eight minutes: its tests (the predictors of a CPU, captured and compiled steps), then the
# rows of docs/performance.md.
#
#     tools/gpu_check.sh [PYTHON] [FOLDER]
#
# Results are in FOLDER: tests.txt, bench/ (samples, page, figures), summary.txt. The exit code is that of the tests.
# Each part has its share of the time and is ended with it; what was measured by then is kept.
set -uo pipefail
python=${1:-.venv/bin/python}
folder=${2:-results/gpu}
mkdir -p "$folder"
"$python" -c 'import sys, torch; sys.exit("torch finds no GPU here") if not torch.cuda.is_available() else print(torch.cuda.get_device_name())' || exit 1

timeout 200 "$python" -m pytest -q -n 0 -m gpu tests --durations=5 >"$folder/tests.txt" 2>&1
failed=$?
tail -n 15 "$folder/tests.txt"

bench() { timeout "$1" "$python" -m archrank bench "${@:2}" --device cuda --repeats 3 --seconds 0.5 -o "$folder/bench" >>"$folder/bench.txt" 2>&1; }
bench 110 gcn 'gcn[dim=32]' gin -b digits101 --batch 32 --members 9 --variants ensemble,eager,compiled,torch-geometric
bench 80 flowerformer nar_former -b digits101 --batch 32 --members 9 --variants ensemble,eager
bench 80 flowerformer gcn -b digits101 --batch 32 --members 64 --variants ensemble,eager
"$python" -m archrank bench --page "$folder/bench" -o "$folder/bench" >/dev/null 2>&1
grep -E '^\| (encoder|gcn|gin|flowerformer|nar_former)' "$folder/bench/performance.md" 2>/dev/null | tee "$folder/summary.txt"
exit "$failed"
