#!/bin/sh
# What only a machine with a CUDA device can tell: the tests marked `gpu`, and both benchmarks on it.
# Usage: scripts/bench/gpu.sh FOLDER_OF_PHOTOGRAPHS, with a `python` that has cmon's packages on the PATH.
set -u
photos=$1
export PYTHONPATH="$PWD${PYTHONPATH:+:$PYTHONPATH}"

printf '## Tests marked gpu\n\n'
python -m pytest -q -m gpu -o filterwarnings=default tests/test_gpu.py 2>&1 | tail -25

printf '\n## Scoring\n\n'
python -m scripts.bench.score --device cuda

many=$(mktemp -d)
number=0
for round in 1 2 3 4 5 6 7 8 9 10; do
    for photo in "$photos"/*; do
        ln -s "$photo" "$many/$number.jpeg"
        number=$((number + 1))
    done
done
printf '\n## Extraction\n\n'
python -m scripts.bench.extract "$many" --device cuda --workers 8
printf '\nWith TF32 switched off (NVIDIA_TF32_OVERRIDE=0):\n\n'
NVIDIA_TF32_OVERRIDE=0 python -m scripts.bench.extract "$many" --device cuda --workers 8 --precision fp32
rm -r "$many"
