#!/bin/sh
# What only a machine with a CUDA device can tell, in at most 8 minutes: the tests marked `gpu`, then the benchmarks on it.
# Every part has a limit in seconds of its own, and ends there; a last table says how each of them ended.
# Usage: scripts/bench/gpu.sh FOLDER_OF_PHOTOGRAPHS [DEMO_WORKSPACE], with a `python` on the PATH that has cmon's packages.
set -u
photos=$1
workspace=${2:-demo/workspace}
export PYTHONPATH="$PWD${PYTHONPATH:+:$PYTHONPATH}"
scratch=$(mktemp -d)
trap 'rm -r "$scratch"' EXIT
# Where packages came without compiled Python and may not be written to, every process would compile them again.
export PYTHONPYCACHEPREFIX="$scratch/compiled"

part() { # NAME LIMIT COMMAND ...
    name=$1 limit=$2
    shift 2
    printf '\n## %s\n\n' "$name"
    start=$(date +%s)
    timeout "$limit" "$@"
    code=$?
    case $code in 0) outcome=done ;; 124) outcome="stopped after $limit s" ;; *) outcome="failed with $code" ;; esac
    printf '| %s | %s | %s |\n' "$name" "$(($(date +%s) - start))" "$outcome" >>"$scratch/parts"
}

device=$(python -c 'import torch; print(torch.cuda.get_device_name(), "with torch", torch.__version__)')
printf '# On one %s\n' "$device"
part 'Tests marked gpu' 90 python -m pytest -q -n 4 -m gpu -o filterwarnings=default tests/test_gpu.py \
    tests/scoring/test_scoring_gpu.py
part 'Extraction, 10 checkpoints' 90 python -m scripts.bench.extract "$photos" --images 2000 --device cuda \
    --workers 8 --precision fp32 --precision bf16
part 'Extraction, 40 checkpoints' 120 python -m scripts.bench.extract "$photos" --images 2000 --device cuda \
    --workers 8 --checkpoints 40 --baseline-checkpoints 5 --precision bf16
part 'Scoring, all functions' 30 python -m scripts.bench.score --device cuda --large-images 0 --repeat 2
part 'Scoring, 60,000 images' 60 python -m scripts.bench.score --device cuda --images 60000 --epochs 10 --units 2048 \
    --similarity soft_wpmi --large-images 0 --repeat 1
part 'A training of the case studies' 40 sh -c "python -m scripts.demo.draw_world $scratch/cases/world/train \
    --images 1000 --seed 1 >/dev/null && python -m scripts.cases.train standard 1 $scratch/cases"
if [ -d "$workspace" ]; then
    part Embedding 40 python -m cmon embed "$workspace" --quiet
fi

printf '\n## All parts, on one %s\n\n| part | seconds | outcome |\n|---|---|---|\n' "$device"
cat "$scratch/parts"
