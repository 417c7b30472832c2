"""What one more epoch costs: `cmon score` of the last of several epochs alone, beside scoring all of them at once.

    python -m scripts.bench.new_epoch [--epochs 21] [--units 960] [--images 10000] [--concepts 20000] [--prior null]

Activations and CLIP's vectors are drawn (`scripts.bench.scoring_job`) and written as `cmon extract` writes them; the
stage does the rest, with reading and writing. The tables of both ways are compared, value for value. The plain way is
what has to be done without tables by epoch: all again. Prints Markdown.
"""

from __future__ import annotations

import tempfile
import time
from pathlib import Path

import click

from cmon.concepts import Concept
from cmon.extraction.tables import write_rows
from cmon.scoring.priors import PRIORS
from cmon.scoring.settings import ScoreSettings
from cmon.scoring.similarity.registry import SIMILARITIES, create
from cmon.scoring.stage import score
from cmon.workspace.workspace import Workspace
from scripts.bench.drawn_workspace import DrawnFeatures, write_epoch, write_images
from scripts.bench.scoring_job import Job


@click.command()
@click.option("--epochs", default=21, show_default=True)
@click.option(
    "--units", default=960, show_default=True, help="Of one epoch: ResNet-18's layer1 to layer4 have 960."
)
@click.option("--images", default=10_000, show_default=True)
@click.option("--concepts", default=20_000, show_default=True)
@click.option("--similarity", default="soft_wpmi", show_default=True, type=click.Choice(list(SIMILARITIES)))
@click.option("--prior", default="null", show_default=True, type=click.Choice(list(PRIORS)))
@click.option("--repeat", default=3, show_default=True)
def main(
    epochs: int, units: int, images: int, concepts: int, similarity: str, prior: str, repeat: int
) -> None:
    """Time one more epoch beside all epochs."""
    job = Job(epochs, units, images, concepts)
    features = DrawnFeatures(job)
    words = [Concept(f"word {number}", None) for number in range(concepts)]
    settings = ScoreSettings(create(similarity, None), PRIORS[prior])
    drawn = job.activations(features.images_of, features.texts_of)
    ratios = []
    for _ in range(repeat):
        with tempfile.TemporaryDirectory(prefix="cmon-bench-") as folder:
            at_once, added = Workspace(Path(folder) / "at once"), Workspace(Path(folder) / "added")
            for place in (at_once, added):
                write_images(place, images)
                rows = [write_epoch(place, epoch, one.numpy()) for epoch, one in enumerate(drawn)]
                listed = rows if place is at_once else rows[:-1]
                write_rows(place, {"checkpoints": [], "shards": listed}, {"probe": "drawn"})
                if place is added:
                    score(place, words, features, settings)
                    rows = [*listed, write_epoch(place, epochs - 1, drawn[-1].numpy())]
                    write_rows(place, {"checkpoints": [], "shards": rows}, {"probe": "drawn"})
            seconds = []
            for place in (at_once, added):
                start = time.perf_counter()
                score(place, words, features, settings)
                seconds.append(time.perf_counter() - start)
            same = all(
                at_once.read(name).equals(added.read(name)) for name in ("units", "concepts", "scores")
            )
            ratios.append((*seconds, same))
    all_at_once, one_more = (sorted(one[at] for one in ratios)[len(ratios) // 2] for at in (0, 1))
    equal = "equal" if all(one[2] for one in ratios) else "NOT EQUAL"
    print(
        f"{epochs} epochs x {units} units, {images:,} images, {concepts:,} concepts, {similarity}, prior {prior}; "
        f"median of {repeat}\n\n| | seconds |\n|---|---|\n| all {epochs} epochs at once | {all_at_once:.2f} |\n"
        f"| the last one, the others scored | {one_more:.2f} |\n\n"
        f"ratio {one_more / all_at_once:.3f}; the tables are {equal}"
    )


if __name__ == "__main__":
    main()
