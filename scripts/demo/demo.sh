#!/bin/sh
# The whole way on one machine: a drawn world, two trainings, the four commands as a user would type them.
# What is done already is not done again. Usage: scripts/demo/demo.sh FOLDER, with `cmon` and `python` on the PATH.
set -eu
demo=$1

run() {
    printf '\n$ %s\n' "$*"
    "$@"
}

run python -m scripts.demo.draw_world "$demo/train" --images 5000 --seed 1
run python -m scripts.demo.draw_world "$demo/probe" --images 2000 --seed 2
run python -m scripts.demo.train_networks "$demo/train" "$demo/runs/standard" --recipe standard
run python -m scripts.demo.train_networks "$demo/train" "$demo/runs/poor" --recipe poor

run cmon extract "$demo/workspace" --run standard="$demo/runs/standard" --run poor="$demo/runs/poor" \
    --model torchvision:resnet18 --layer layer2 --layer layer3 --layer layer4 \
    --image-size 64 --probe "$demo/probe/images"
run cmon score "$demo/workspace" --clip local-dir:data/world-clip --concepts data/concepts/world.csv
run cmon embed "$demo/workspace" --anchors data/concepts/world_anchors.csv
run cmon report "$demo/workspace" --metrics standard="$demo/runs/standard/training.csv" \
    --metrics poor="$demo/runs/poor/training.csv"
