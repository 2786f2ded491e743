"""All that is claimed of a GPU, as ratios of one run, in at most four minutes.

    python benchmarks/gpu.py [--quick] [--minutes 4] [--device auto]

The training step launched kernel by kernel, as one CUDA graph (with and without algorithms of one
fixed order), compiled, and both, at five settings of size, width and batch: its seconds, its share
of the rate at which the same device multiplies large matrices, and the most memory it held. Ours
against the plain loop of gan_training.py. A whole `gan-train` by its parts, 2000 samples to files,
the default `compare` with them. The classifier's epoch launched kernel by kernel and as CUDA
graphs, and it and features against torchvision's way. Whether two trainings, and one that dies and
is gone on with, end in the same bytes. What costs most time, to compile, comes last; what
the minutes do not suffice for says so.

`--quick` tries all of it on any machine, at sizes that say nothing of speed.
"""

from __future__ import annotations

import hashlib
import math
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import click
import torch
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.classifier_training import (
    CLASSES,
    IMAGE_SIZE,
    TRAINING_IMAGES,
    compare_epochs,
    compare_features,
)
from benchmarks.gan_training import load_data, make_study, time_plain, train_plainly
from classifier.config import ClassifierConfig
from classifier.features import FeatureStore
from classifier.task import prepare_task
from classifier.train import prepare_steps as prepare_classifier_steps
from classifier.training_state import TrainingState as ClassifierState
from gan.batches import BatchSampler, TrainingData, stack_training_images
from gan.compiled import find_compiler_problem
from gan.config import GanConfig
from gan.losses import PENALTY_STRIDE
from gan.train import prepare_steps, train
from gan.training_state import TrainingState, build_networks
from pipelines.results.comparison_rows import read_rows
from pipelines.study.workspace import Workspace
from runtime.device import Compute, choose_compute
from runtime.run import Run, create_run
from runtime.stopwatch import describe_parts

ROOT = Path(__file__).resolve().parent.parent
SETTINGS = (  # size, width, batch
    (64, 32, 32),
    (128, 32, 32),
    (128, 64, 64),
    (256, 32, 32),
    (128, 64, 256),
)
LAUNCHED = ("eager", "graph", "graph, not deterministic")  # ways of taking a step
COMPILED = ("compiled", "compiled + graph")
WARM_UP_STEPS = 8  # of each; within them a step is recorded
COMPILE_SECONDS = 45  # that are kept for a setting, or it is left out


@dataclass(frozen=True)
class Sizes:
    """How much of everything is measured."""

    settings: tuple[tuple[int, int, int], ...] = SETTINGS
    matrix_side: int = 8192
    steps: int = 30  # in each of ROUNDS
    gan_steps: int = 6000
    samples: int = 2000
    comparison: tuple[str, ...] = ()  # options of `compare` beside its defaults
    equal_steps: int = 300
    image_size: int = 64
    width: int = 32
    classifier_rounds: int = 3
    feature_steps: int = 8
    feature_seeds: int = 5


QUICK = Sizes(
    settings=((32, 4, 16),),
    matrix_side=512,
    steps=2,
    gan_steps=20,
    samples=50,
    comparison=("--seeds", "2", "--steps", "6"),
    equal_steps=30,
    image_size=32,
    width=4,
    classifier_rounds=1,
    feature_steps=1,
    feature_seeds=1,
)
ROUNDS = 3


class Clock:
    """How much of the minutes is left."""

    def __init__(self, minutes: float) -> None:
        self._end = time.monotonic() + 60 * minutes

    def left(self) -> float:
        return self._end - time.monotonic()


def synchronise(device: torch.device) -> None:
    """Wait until the device has done all that it was told to."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def set_determinism(compute: Compute, deterministic: bool) -> None:
    """Have PyTorch take algorithms of one fixed order from here on, or any."""
    choose_compute(str(compute.device), compute.precision, deterministic)


def measure_matrix_rate(side: int, compute: Compute) -> float:
    """Return operations per second of a large matrix product in the precision of training."""
    dtype = torch.bfloat16 if compute.precision == "bf16" else torch.float32
    a = torch.randn(side, side, device=compute.device, dtype=dtype)
    seconds = []
    for _ in range(8):
        synchronise(compute.device)
        started = time.perf_counter()
        a @ a
        synchronise(compute.device)
        seconds.append(time.perf_counter() - started)
    return 2 * side**3 / min(seconds)


class Steps:
    """Steps of a fresh training of one setting, taken in one way."""

    def __init__(self, config: GanConfig, data: TrainingData, compute: Compute, way: str) -> None:
        images, labels = stack_training_images(data, config)
        self.config, self.device = config, compute.device
        self.batches = BatchSampler(config, images, labels, compute)
        networks = build_networks(config, len(data.classes), images, labels)
        self.state = TrainingState.initial(config, *networks, compute.device)
        self.take_step = prepare_steps(
            config, self.state, compute, compiled="compiled" in way, graph="graph" in way
        )

    def take(self, count: int) -> float:
        """Take so many steps; return the seconds of one."""
        synchronise(self.device)
        started = time.perf_counter()
        for _ in range(count):
            self.state.prepare_step(self.config)
            self.take_step(self.batches.draw(self.state.step, 0.0))
            self.state.step += 1
        synchronise(self.device)
        return (time.perf_counter() - started) / count


def count_operations(config: GanConfig, data: TrainingData) -> int:
    """Return the floating-point operations of a step: those of a CPU, where no tap is a zero.

    They go with the size of the batch, as long as that is a multiple of PENALTY_STRIDE.
    """
    few = replace(config, batch_size=PENALTY_STRIDE)
    steps = Steps(few, data, Compute(torch.device("cpu"), "fp32"), "eager")
    with FlopCounterMode(display=False) as counter:
        steps.take(1)
    return counter.get_total_flops() * config.batch_size // PENALTY_STRIDE


def measure_way(
    config: GanConfig, data: TrainingData, compute: Compute, way: str, steps: int
) -> tuple[float, float]:
    """Return the seconds of a step, and the most memory it held in GiB (0 on a CPU)."""
    is_cuda = compute.device.type == "cuda"
    set_determinism(compute, "not deterministic" not in way)
    if is_cuda:
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats(compute.device)
    training = Steps(config, data, compute, way)
    training.take(WARM_UP_STEPS if is_cuda else 1)
    seconds = statistics.median(training.take(steps) for _ in range(ROUNDS))
    peak = torch.cuda.max_memory_allocated(compute.device) / 2**30 if is_cuda else 0.0
    set_determinism(compute, compute.deterministic)
    return seconds, peak


def missing_for(way: str, compute: Compute, clock: Clock) -> str | None:
    """Say what a way of taking steps lacks here, None where it lacks nothing."""
    if way != "eager" and compute.device.type != "cuda":
        return "needs CUDA"
    if "compiled" in way:
        if clock.left() < COMPILE_SECONDS:
            return "no time left, see --minutes"
        return find_compiler_problem(compute.device)
    return None


def compare_ways(
    sizes: Sizes, study: Workspace, compute: Compute, clock: Clock, ways: tuple[str, ...]
) -> None:
    """Print the step of every setting in these ways."""
    rate = measure_matrix_rate(sizes.matrix_side, compute)
    print(f"\nmatrix products: {rate / 1e12:.2f} TFLOP/s ({compute.precision})")
    for image_size, width, batch_size in sizes.settings:
        config = GanConfig(
            image_size=image_size, width=width, batch_size=batch_size, sample_every=10**9
        )
        data = load_data(study, image_size)
        operations = count_operations(config, data)
        for way in ways:
            title = f"{image_size} px, width {width}, batch {batch_size}, {way}"
            lacking = missing_for(way, compute, clock)
            if lacking:
                print(f"{title:48} {lacking}")
                continue
            seconds, peak = measure_way(config, data, compute, way, sizes.steps)
            share = 100 * operations / seconds / rate
            print(
                f"{title:48} {1000 * seconds:8.2f} ms, {batch_size / seconds:8.0f} images/s, "
                f"{share:5.1f} % of the matrix rate, {peak:.2f} GiB"
            )


def compare_with_plain(sizes: Sizes, study: Workspace, compute: Compute) -> None:
    """Print how much faster ours is than the plain loop, its data path included."""
    config = GanConfig(image_size=sizes.image_size, width=sizes.width, sample_every=10**9)
    data = load_data(study, sizes.image_size)
    # A plain loop has operations that have no fixed order of their sums.
    set_determinism(compute, False)
    loop = train_plainly(config, study.data / "images", compute.device, 1)
    next(loop)
    plain = time_plain(loop)
    seconds, _ = measure_way(config, data, compute, "graph", sizes.steps)
    print(f"\nours {1000 * seconds:.2f} ms a step, the plain loop {plain / seconds:.1f} times that")


def cxr(study: Workspace, *arguments: object) -> float:
    """Run a command in a process of its own; return its seconds."""
    started = time.perf_counter()
    subprocess.run(
        [sys.executable, "-m", "pipelines.cli", "-C", study.root, *map(str, arguments)],
        cwd=ROOT,
        check=True,
        stdout=subprocess.DEVNULL,
    )
    return time.perf_counter() - started


def run_commands(sizes: Sizes, study: Workspace, device: str) -> None:
    """Print what whole commands take: a training by its parts, samples to files, a comparison."""
    size = ("--image-size", sizes.image_size, "--width", sizes.width)
    seconds = cxr(study, "gan-train", "--steps", sizes.gan_steps, *size, "--device", device)
    parts = describe_parts(study.find_run("gan-train").result["seconds_by_part"])
    print(f"\ngan-train, {sizes.gan_steps} steps: {seconds:.1f} s, of which {parts}")
    seconds = cxr(study, "synthesize", "--n", sizes.samples, "--device", device)
    print(f"synthesize, {sizes.samples} images: {seconds:.1f} s")
    seconds = cxr(study, "compare", *sizes.comparison, "--device", device)
    rows = read_rows(study.find_run("compare"))
    trained = sum(row.seconds for row in rows)
    print(f"compare: {seconds:.1f} s, of which {trained:.1f} for {len(rows)} classifiers")


class DyingRun(Run):
    """A run whose process dies at a step, without a word."""

    last_step: int = 0

    def log(self, **event: Any) -> None:
        if event.get("step", 0) >= DyingRun.last_step:
            raise KeyboardInterrupt
        super().log(**event)


def hash_run(run: Run) -> str:
    """Return a hash of what a training has left, times left out."""
    digest = hashlib.sha256()
    for path in sorted(run.folder.rglob("*")):
        if path.is_file() and path.suffix in (".pt", ".png", ".jsonl"):
            if path.parent.name == "checkpoints":
                continue  # have the seconds in them; the last snapshot has the weights
            digest.update(path.name.encode() + path.read_bytes())
    return digest.hexdigest()


def compare_bytes(sizes: Sizes, study: Workspace, compute: Compute) -> None:
    """Print whether trainings of one seed end in the same bytes, and one that died in between."""
    every = sizes.equal_steps // 3
    config = GanConfig(
        image_size=sizes.image_size,
        width=sizes.width,
        steps=sizes.equal_steps,
        sample_every=every,
    )
    data = load_data(study, sizes.image_size)
    runs = [create_run(study.runs, "gan-train", asdict(config)) for _ in range(3)]
    for run in runs[:2]:
        train(config, data, run, compute)
    DyingRun.last_step = math.ceil(2.3 * every / 10) * 10
    try:
        train(config, data, DyingRun(runs[2].folder), compute)
    except KeyboardInterrupt:
        train(config, data, runs[2], compute)
    first, *others = (hash_run(run) for run in runs)
    verdicts = {True: "the same bytes", False: "OTHER BYTES"}
    print(f"\n{sizes.equal_steps} steps again: {verdicts[others[0] == first]}")
    print(f"dead after {DyingRun.last_step} steps and resumed: {verdicts[others[1] == first]}")


def compare_classifiers(sizes: Sizes, folder: Path, compute: Compute) -> None:
    """Print how much faster an epoch and features are than torchvision's way."""
    print()
    training, validation = compare_epochs(sizes.classifier_rounds, folder, compute)
    steps, seeds = sizes.feature_steps, sizes.feature_seeds
    compare_features(training, validation, steps, None, compute, seeds)


def time_classifier_epoch(
    config: ClassifierConfig, folder: Path, compute: Compute, *, graph: bool
) -> float:
    """Return the seconds of an epoch of a fresh classifier, without looks at validation images."""
    random = torch.Generator().manual_seed(0)
    shape = (TRAINING_IMAGES, 1, IMAGE_SIZE, IMAGE_SIZE)
    images = torch.randint(0, 256, shape, dtype=torch.uint8, generator=random)
    labels = torch.arange(TRAINING_IMAGES) % len(CLASSES)
    task = prepare_task(config, images, labels, compute, CLASSES, None, FeatureStore())
    run = create_run(folder, "classify-train", {})
    state = ClassifierState.begin(task.network.head, task.optimizer(), run, compute)
    take_step = prepare_classifier_steps(task, state, graph=graph)
    task.network.train()

    def take(count: int) -> float:
        synchronise(compute.device)
        started = time.perf_counter()
        for _ in range(count):
            task.set_learning_rate(state.optimizer, config.learning_rate)
            take_step(task.draw(state.step))
            state.step += 1
        synchronise(compute.device)
        return time.perf_counter() - started

    with task.own_randomness():
        take(WARM_UP_STEPS)
        steps = math.ceil(TRAINING_IMAGES / config.batch_size)
        return statistics.median(take(steps) for _ in range(ROUNDS))


def compare_classifier_ways(folder: Path, compute: Compute) -> None:
    """Print the epoch of a classifier, kernel by kernel and from a recording."""
    print()
    for augment in (False, True):
        config = ClassifierConfig(augment=augment)
        for graph in (False, True):
            title = f"cnn, epoch{', augmented' if augment else ''}, {LAUNCHED[graph]}"
            if graph and compute.device.type != "cuda":
                print(f"{title:48} needs CUDA")
                continue
            seconds = time_classifier_epoch(config, folder, compute, graph=graph)
            print(f"{title:48} {1000 * seconds:8.2f} ms")


@click.command()
@click.option("--quick", is_flag=True)
@click.option("--minutes", default=4.0)
@click.option("--device", default="auto")
def main(quick: bool, minutes: float, device: str) -> None:
    """Print everything."""
    clock, sizes, compute = Clock(minutes), QUICK if quick else Sizes(), choose_compute(device)
    name = (
        torch.cuda.get_device_name(compute.device)
        if compute.device.type == "cuda"
        else f"{torch.get_num_threads()} threads"
    )
    print(f"{compute}, {name}, torch {torch.__version__}")
    with tempfile.TemporaryDirectory() as temporary:
        study, _ = make_study(Path(temporary) / "study", sizes.image_size)
        for part in parts_of(sizes, study, compute, clock, device):
            try:
                part()
            except (RuntimeError, subprocess.CalledProcessError) as error:  # the others are told
                print(f"FAILED: {str(error).strip().splitlines()[0]}")
            sys.stdout.flush()
    print(f"\n{60 * minutes - clock.left():.0f} s in all")


def parts_of(
    sizes: Sizes, study: Workspace, compute: Compute, clock: Clock, device: str
) -> Iterator[Callable[[], None]]:
    """Yield what is measured, dearest last."""
    yield partial(compare_ways, sizes, study, compute, clock, LAUNCHED)
    yield partial(compare_bytes, sizes, study, compute)
    yield partial(run_commands, sizes, study, device)
    yield partial(compare_with_plain, sizes, study, compute)
    yield partial(compare_classifier_ways, study.runs, compute)
    yield partial(compare_classifiers, sizes, study.root.parent, compute)
    yield partial(compare_ways, sizes, study, compute, clock, COMPILED)


if __name__ == "__main__":
    main()
