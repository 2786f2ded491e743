"""Our generators and those of other packages, side by side on the same images and minutes.

    pip install denoising-diffusion-pytorch lightweight-gan    # in an environment of its own
    python benchmarks/peers.py STUDY OUT --minutes 30 --python PEERS/bin/python \
        --features vgg16 --weights vgg16_features.pth [--stylegan CHECKOUT] [--final]

One after the other, each for the same minutes on the same device and threads: the default of
`gan-train`, its preset dcgan, denoising-diffusion-pytorch, lightweight-gan (which needs CUDA; on a
CPU its row says so) and, where a checkout is named, StyleGAN2-ADA by its own command line. Those
that know no classes get one model per class, and half of the minutes each. All are trained on what
`cxr data export` writes, draw the same number of images, come back by `cxr synthesize --from`, and
are judged alike: `cxr score` in features that belong to no peer, and the accuracy on held-out reals
of the small CNN that was taught by the synthetic images alone, beside that of one taught by the
training reals. Held-out reals are the validation images; with --final the test images.

STUDY is written to: give it a copy. What OUT holds from an earlier call is not made again. The
table is printed as markdown, and kept in OUT/peers.md.
"""

from __future__ import annotations

import functools
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import click
import numpy as np
import torch

from benchmarks.generator_quality import accuracy_alone
from pipelines.metrics.scores import OVERALL, LeftOut, Score
from pipelines.results.score_summary import ScoreSummary
from pipelines.study.split import Split, load_splits
from pipelines.study.synthetic import load_synthetic_split, read_synthetic
from pipelines.study.workspace import Workspace
from runtime.device import choose_compute
from runtime.run import Run, list_runs

ROOT = Path(__file__).resolve().parent.parent
CXR = [sys.executable, "-P", "-m", "pipelines.cli"]  # of this tree, wherever it is called


@dataclass(frozen=True)
class Drawn:
    """A peer's images in the study, and what they cost.

    Attributes:
        run: The name of the synthetic set's run; None where the peer did not run.
        note: Why it did not, or what to know.
        steps: Of training, of each class where it has a model of its own.
        minutes: Of training.
        processor_minutes: That it had of the processors in these minutes, on a machine that others
            use too.
        images_per_second: In drawing.
        peak_bytes: Of the largest process, in training and drawing.
    """

    run: str | None
    note: str = ""
    steps: str = ""
    minutes: float = 0.0
    processor_minutes: float = 0.0
    images_per_second: float = 0.0
    peak_bytes: int = 0


@dataclass(frozen=True)
class Settings:
    """What every peer is given."""

    study: Path
    out: Path
    minutes: float
    images: int
    image_size: int
    device: str
    python: str  # the interpreter that has the other packages
    peer_options: tuple[str, ...]

    @property
    def export(self) -> Path:
        """Where the training images are, a folder per label."""
        return self.out / "export"


@dataclass(frozen=True)
class Cost:
    """What a command took: the memory of its largest process, and minutes of the processors."""

    peak_bytes: int
    processor_minutes: float


def call(command: Sequence[str | Path], log: Path) -> Cost:
    """Run a command with its output in a file. Raises click.ClickException when it fails."""
    click.echo("$ " + " ".join(map(str, command)), err=True)
    with open(log, "ab") as file:
        environment = os.environ | {"PYTHONPATH": str(ROOT)}
        process = subprocess.Popen(command, stdout=file, stderr=file, env=environment)
        _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise click.ClickException(f"{command[0]} ended with {process.returncode}; see {log}")
    return Cost(usage.ru_maxrss * 1024, (usage.ru_utime + usage.ru_stime) / 60)


def newest(study: Path, command: str) -> Run:
    """Return the newest finished run of a command."""
    return Workspace(study).find_run(command)


def import_images(settings: Settings, name: str, images: Path) -> str:
    """Bring a peer's images into the study, and return the run's name."""
    trained_on = settings.export / "TRAINED_ON.json"
    command = [*CXR, "synthesize", "--from", images, "--trained-on", trained_on]
    log = settings.out / f"{name}.log"
    call([*command, "--name", name, "--view", "whole", "-C", settings.study], log)
    return newest(settings.study, "synthesize").name


def draw_ours(settings: Settings, name: str) -> Drawn:
    """Train one of our presets, and draw from it."""
    log = settings.out / f"{name}.log"
    place = ["--device", settings.device, "-C", str(settings.study)]
    train = [*CXR, "gan-train", "--preset", name, "--image-size", str(settings.image_size)]
    training = call([*train, "--max-minutes", str(settings.minutes), "--keep-going", *place], log)
    run = newest(settings.study, "gan-train")
    start = time.monotonic()
    draw = [*CXR, "synthesize", "--n", str(settings.images), "--generator", run.name]
    drawing = call([*draw, *place], log)
    return Drawn(
        run=newest(settings.study, "synthesize").name,
        steps=str(run.result["step"]),
        minutes=run.result["seconds"] / 60,
        processor_minutes=training.processor_minutes,
        images_per_second=settings.images / (time.monotonic() - start),
        peak_bytes=max(training.peak_bytes, drawing.peak_bytes),
    )


def draw_other(settings: Settings, name: str) -> Drawn:
    """Train another package's generator in its own interpreter, and draw from it."""
    out = settings.out / name
    command = [settings.python, ROOT / "benchmarks" / "peer_training.py", name]
    sizes = ["--image-size", str(settings.image_size), "--images", str(settings.images)]
    minutes = ["--minutes", str(settings.minutes)]
    cost = call(
        [*command, settings.export, out, *minutes, *sizes, *settings.peer_options],
        settings.out / f"{name}.log",
    )
    facts = json.loads((out / "facts.json").read_text())
    return Drawn(
        run=import_images(settings, name, out / "images"),
        steps=" + ".join(map(str, facts["steps"].values())),
        minutes=facts["training_seconds"] / 60,
        processor_minutes=facts["processor_seconds"] / 60,
        images_per_second=settings.images / facts["drawing_seconds"],
        peak_bytes=cost.peak_bytes,
    )


def draw_on_cuda(settings: Settings, name: str) -> Drawn:
    """Train another package's generator where there is CUDA."""
    if not torch.cuda.is_available():
        return Drawn(None, "not run: it refuses to start without CUDA")
    return draw_other(settings, name)


def draw_stylegan(settings: Settings, checkout: Path) -> Drawn:
    """Train StyleGAN2-ADA by its own command line, and draw every class from its last network.

    It is told thousands of images and not minutes: it is stopped when the minutes are over, and its
    newest snapshot is drawn from.
    """
    out, log = settings.out / "stylegan", settings.out / "stylegan.log"
    size, where = str(settings.image_size), settings.out / "export-stylegan"
    export = [*CXR, "data", "export", where, "--for", "stylegan", "--image-size", size]
    call([*export, "-C", settings.study], log)
    train = [settings.python, checkout / "train.py", f"--outdir={out}", "--gpus=1", "--cond=1"]
    train += [f"--data={where / 'dataset.zip'}", "--mirror=0", "--snap=1", "--metrics=none"]
    start = time.monotonic()
    with open(log, "ab") as file:
        process = subprocess.Popen(train, stdout=file, stderr=file, cwd=checkout)
        try:
            process.wait(60 * settings.minutes)
        except subprocess.TimeoutExpired:
            process.terminate()
            process.wait()
    minutes = (time.monotonic() - start) / 60
    snapshots = sorted(out.rglob("network-snapshot-*.pkl"))
    if not snapshots:
        raise click.ClickException(f"StyleGAN left no snapshot; see {log}")
    classes = json.loads((where / "TRAINED_ON.json").read_text())["classes"]
    start, peak = time.monotonic(), 0
    for index, label in enumerate(classes):
        seeds = f"--seeds={index * 10**6}-{index * 10**6 + settings.images // len(classes) - 1}"
        draw = [settings.python, checkout / "generate.py", f"--network={snapshots[-1]}", seeds]
        folder = out / "images" / label
        cost = call([*draw, f"--class={index}", f"--outdir={folder}"], log)
        peak = max(peak, cost.peak_bytes)
    return Drawn(
        run=import_images(settings, "stylegan", out / "images"),
        note="peak memory is that of drawing; processor minutes are not known",
        steps=f"{snapshots[-1].stem.rsplit('-', 1)[1].lstrip('0')} thousand images",
        minutes=minutes,
        images_per_second=settings.images / (time.monotonic() - start),
        peak_bytes=peak,
    )


PEERS = {
    "small-data": draw_ours,
    "dcgan": draw_ours,
    "denoising-diffusion": draw_other,
    "lightweight-gan": draw_on_cuda,
}


def kept(file: Path, make: Callable[[], Any]) -> Any:
    """Return what an earlier call has made, or make it and keep it."""
    if not file.exists():
        file.write_text(json.dumps(make()))
    return json.loads(file.read_text())


def find_score(summary: ScoreSummary, name: str) -> Score:
    """Return a score of all classes together, in the first extractor's features."""
    own = summary.extractors[0].name
    for score in summary.scores:
        if (score.group, score.features, score.name) == (OVERALL, own, name):
            return score
    raise click.ClickException(f"{summary.synthetic} has no {name} in {own}")


def taught_alone(
    images: Split,
    splits: dict[str, Split],
    classes: list[str],
    seeds: int,
    held_out: str,
    device: str,
) -> str:
    """Say the accuracy on held-out reals of classifiers taught by these images alone, in %."""
    compute = choose_compute(device)
    accuracies = accuracy_alone(
        images, splits, splits[held_out], classes, compute, seeds, augment=False
    )
    return f"{np.mean(accuracies):.1f} ± {np.std(accuracies, ddof=1):.1f}"


def judge(
    settings: Settings, drawn: Drawn, features: Sequence[str], seeds: int, final: bool
) -> list[str]:
    """Score a peer's images, and return the cells of its row that are scores."""
    assert drawn.run is not None
    log = settings.out / "score.log"
    command = [*CXR, "score", "--synthetic", drawn.run, *features, "--device", settings.device]
    call([*command, *(["--final"] if final else []), "-C", settings.study], log)
    workspace = Workspace(settings.study)
    found = [run for run in list_runs(workspace.runs) if run.command == "score" and run.finished]
    (*_, newest_score) = [run for run in found if run.config["synthetic"] == drawn.run]
    summary = ScoreSummary.load(newest_score)
    distance, recall = find_score(summary, "frechet"), find_score(summary, "recall")
    apart = find_score(summary, "two_sample_accuracy")
    copies = "left out"
    if not isinstance(summary.memorisation, LeftOut):
        copied = summary.memorisation.pixels.copies
        copies = f"{100 * copied.share.value:.1f} ({100 * copied.reals_share.value:.1f})"
    synthetic = read_synthetic(workspace.folder_of(drawn.run))
    splits = load_splits(workspace, settings.image_size, summary.classes)
    images = load_synthetic_split(synthetic, splits, workspace.rows(), summary.classes)
    held_out = "test" if final else "validation"
    return [
        f"{distance.synthetic.value / distance.floor.value:.2f}",
        f"{recall.synthetic.value:.2f} ({recall.floor.value:.2f})",
        f"{apart.synthetic.value:.2f}",
        copies,
        taught_alone(images, splits, summary.classes, seeds, held_out, settings.device),
    ]


COLUMNS = (
    *(
        "generator",
        "steps",
        "minutes",
        "processor minutes",
        "Fréchet ratio to the floor",
        "recall (reals)",
    ),
    *("told from reals", "copies, % (reals)", "accuracy taught by them alone, %"),
    *("images per second", "peak memory, GB", "note"),
)


def format_row(name: str, drawn: Drawn, scores: Sequence[str]) -> str:
    """Write a row of the table."""
    if drawn.run is None:
        cells = [name, *["–"] * (len(COLUMNS) - 2), drawn.note]
    else:
        cost = [f"{drawn.images_per_second:.2g}", f"{drawn.peak_bytes / 1e9:.1f}", drawn.note]
        minutes = [f"{drawn.minutes:.1f}", f"{drawn.processor_minutes:.1f}"]
        cells = [name, drawn.steps, *minutes, *scores, *cost]
    return "| " + " | ".join(cells) + " |"


@click.command()
@click.argument("study", type=click.Path(exists=True, path_type=Path))
@click.argument("out", type=click.Path(path_type=Path))
@click.option("--minutes", type=float, default=30.0, show_default=True, help="Of training, each.")
@click.option("--images", default=2000, show_default=True, help="Drawn from each.")
@click.option("--image-size", default=64, show_default=True)
@click.option("--device", default="auto", show_default=True)
@click.option("--python", default=sys.executable, help="An interpreter with the other packages.")
@click.option("--features", default="random", show_default=True, help="As of cxr score.")
@click.option("--weights", multiple=True, help="As of cxr score.")
@click.option("--seeds", type=click.IntRange(2), default=5, show_default=True)
@click.option("--peer-options", default="", help="Of benchmarks/peer_training.py, in one text.")
@click.option("--peers", default=",".join(PEERS), show_default=True, help="Of these alone.")
@click.option("--stylegan", type=click.Path(exists=True, path_type=Path), help="A checkout.")
@click.option("--final", is_flag=True, help="Read on the test images.")
def main(
    study: Path,
    out: Path,
    features: str,
    weights: tuple[str, ...],
    seeds: int,
    peers: str,
    stylegan: Path | None,
    final: bool,
    **choices: Any,
) -> None:
    out.mkdir(parents=True, exist_ok=True)
    peer_options = tuple(choices.pop("peer_options").split())
    settings = Settings(study.resolve(), out.resolve(), **choices, peer_options=peer_options)
    if not settings.export.exists():
        export = [*CXR, "data", "export", settings.export, "--for", "imagefolder"]
        call([*export, "--image-size", str(settings.image_size), "-C", study], out / "export.log")
    drawing: dict[str, Callable[[], Drawn]] = {
        name: functools.partial(PEERS[name], settings, name) for name in peers.split(",")
    }
    if stylegan:
        drawing["stylegan"] = lambda: draw_stylegan(settings, stylegan.resolve())
    drawn = {
        name: Drawn(**kept(settings.out / f"{name}.json", lambda draw=draw: asdict(draw())))
        for name, draw in drawing.items()
    }
    judged_by = ["--features", features]
    for file in weights:
        judged_by += ["--weights", file]
    lines = ["| " + " | ".join(COLUMNS) + " |", "|" + "---|" * len(COLUMNS)]
    for name, of_peer in drawn.items():
        scores: list[str] = []
        if of_peer.run:
            ask = functools.partial(judge, settings, of_peer, judged_by, seeds, final)
            scores = kept(settings.out / f"{name}-scores.json", ask)
        lines.append(format_row(name, of_peer, scores))

    def teach_reals() -> str:
        classes = sorted({row.label for row in Workspace(study).rows()})
        splits = load_splits(Workspace(study), settings.image_size, classes)
        held_out = "test" if final else "validation"
        return taught_alone(splits["train"], splits, classes, seeds, held_out, settings.device)

    accuracy = kept(settings.out / "reals-scores.json", teach_reals)
    lines.append(f"| training reals | – | – | – | 1 | – | – | – | {accuracy} | – | – | – |")
    table = "\n".join(lines)
    (out / "peers.md").write_text(table + "\n")
    click.echo(table)


if __name__ == "__main__":
    main()
