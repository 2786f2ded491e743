"""Thousands of broken and hostile files through the readers, and the memory of the largest ones.

    python benchmarks/hostile_files.py [--cases 1000] [--seed 0]

So many generated cases for each of five readers: pictures, the study's manifest, manifests of
synthetic sets, tables of sources, configurations. A case fails when a reader raises anything but
ValueError or FileNotFoundError, does not name the file, gives what is no picture or a path outside
of the folder, starts a program, or writes anything. Then the worst files within the limits, each
read in a process of its own, with its peak memory.
"""

from __future__ import annotations

import logging
import subprocess
import sys
import tempfile
import time
import traceback
import warnings
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import click
import hypothesis
import numpy as np
from hypothesis import HealthCheck, Phase, given, settings
from PIL import Image

from pipelines.study.image_io import MAX_PIXELS
from pipelines.study.tables import MAX_CELLS, MAX_TABLE
from runtime.files import MAX_JSON
from tests.hostile import reader_checks as checks
from tests.hostile.dicom_files import dicom_bytes
from tests.hostile.json_files import hostile_configurations
from tests.hostile.pictures import hostile_pictures
from tests.hostile.tables import hostile_manifests, hostile_sets, hostile_sources

ROOT = Path(__file__).resolve().parent.parent
READERS: dict[str, tuple[Any, Callable[[Any], str]]] = {
    "pictures": (hostile_pictures(), lambda case: checks.check_picture(*case)),
    "the study's manifest": (
        hostile_manifests(),
        lambda case: checks.check_table("manifest.csv", case, checks.files_of_manifest),
    ),
    "manifests of synthetic sets": (
        hostile_sets(),
        lambda case: checks.check_table("manifest.csv", case, checks.files_of_set),
    ),
    "tables of sources": (
        hostile_sources(),
        lambda case: checks.check_table(case[0], case[1], checks.files_of_source),
    ),
    "configurations": (hostile_configurations(), checks.check_configuration),
}
MEASURE = """
import sys
from pathlib import Path
from pipelines.study.tables import read_table
from pipelines.study.image_io import read_picture
from pipelines.data.table_text import read_rows
from runtime.files import read_json

def peak(name="VmHWM"):
    status = open("/proc/self/status")
    return int(next(line for line in status if line.startswith(name)).split()[1])

readers = {
    ".csv": lambda path: read_rows(path, ("a",)),
    ".table": lambda path: read_table(path, ("a", "b")),
    ".json": read_json,
}
path = Path(sys.argv[1])
before = peak("VmRSS")
try:
    readers.get(path.suffix, read_picture)(path)
    outcome = "read"
except ValueError as error:
    outcome = f"refused: {str(error).replace(str(path), path.name)[:90]}"
print(f"{(peak() - before) / 1024:6.0f} MB  {outcome}")
"""


def large_files() -> dict[str, Callable[[Path], Any]]:
    """Return how the files of each kind that take the most memory are written.

    They are still read, or are refused last.
    """
    side = int(MAX_PIXELS**0.5)
    deep = np.tile(np.arange(side, dtype=np.uint16), (side, 1))
    about = {"Rows": side, "Columns": side, "PixelData": deep.tobytes()}
    window = {"WindowCenter": 500, "WindowWidth": 800, "RescaleSlope": 2, "RescaleIntercept": -100}

    def blank(mode: str) -> Callable[[Path], Any]:
        return lambda path: Image.new(mode, (side, side)).save(path, compress_level=1)

    def text(content: str) -> Callable[[Path], Any]:
        return lambda path: path.write_text(content)

    wide_header = "a,b," + ",".join(map(str, range(100_000))) + "\n"
    objects = ",".join(["{}"] * ((MAX_JSON - 20) // 3))
    numbers = ",".join(["1e9"] * ((MAX_JSON - 20) // 4))
    return {
        "gray.png": blank("L"),
        "colour.png": blank("RGB"),
        "transparent.png": blank("RGBA"),
        "deep.png": lambda path: Image.fromarray(deep).save(path, compress_level=1),
        "float.tif": lambda path: Image.fromarray(deep.astype(np.float32)).save(path),
        "plain.dcm": lambda path: path.write_bytes(dicom_bytes(**about)),
        "window.dcm": lambda path: path.write_bytes(dicom_bytes(**about, **window)),
        "wide.csv": text(wide_header + "x\n" * 200_000),
        "full.csv": text("a,b,c,d\n" + "1,2,3,4\n" * (MAX_CELLS // 4)),
        "tall.table": text("a,b\n" + ",\n" * (MAX_CELLS // 2)),
        "long.csv": text("a,b\n" + ("x" * 100_000 + ",ä\n") * (MAX_TABLE // 100_010)),
        "objects.json": text('{"a": [' + objects + "]}"),
        "numbers.json": text('{"a": [' + numbers + "]}"),
    }


def try_reader(
    name: str, strategy: Any, check: Callable[[Any], str], cases: int, seed: int
) -> dict[str, Any]:
    """Run generated cases through a reader, print the outcomes, and return the faults."""
    counts: Counter[str] = Counter()
    faults: dict[str, Any] = {}

    @hypothesis.seed(seed)
    @settings(
        max_examples=cases,
        deadline=None,
        database=None,
        suppress_health_check=list(HealthCheck),
        phases=[Phase.generate],
    )
    @given(strategy)
    def run(case: Any) -> None:
        try:
            counts[check(case)] += 1
        except Exception as error:
            counts["FAULT"] += 1
            last = traceback.extract_tb(error.__traceback__)[-1]
            what = f"{type(error).__name__} {str(error)[:120]}"
            faults.setdefault(f"{name}: {what} at {Path(last.filename).name}:{last.lineno}", case)

    started = time.monotonic()
    run()
    outcomes = ", ".join(f"{count} {outcome}" for outcome, count in sorted(counts.items()))
    seconds = time.monotonic() - started
    print(f"{name:28} {counts.total():6d} cases: {outcomes}; {seconds:.0f} s", flush=True)
    return faults


def measure_memory(path: Path) -> None:
    """Print the peak memory of a process that reads one file."""
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", MEASURE, str(path)],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    outcome = done.stdout.strip() or done.stderr.strip()[-300:]
    size = path.stat().st_size / 1e6
    print(f"{path.name:16} {size:6.1f} MB on disk, peak of the process {outcome}", flush=True)


@click.command()
@click.option("--cases", default=1000, help="Generated cases for each reader.")
@click.option("--seed", default=0, help="Seed of the cases.")
def main(cases: int, seed: int) -> None:
    """Try every reader, then measure the largest files."""
    warnings.simplefilter("ignore")
    logging.disable()
    faults: dict[str, Any] = {}
    for name, (strategy, check) in READERS.items():
        faults |= try_reader(name, strategy, check, cases, seed)
    for fault, case in faults.items():
        print(f"FAULT {fault}\n      {case!r:.300}")
    with tempfile.TemporaryDirectory() as folder:
        for name, write in large_files().items():
            write(Path(folder) / name)
            measure_memory(Path(folder) / name)
            (Path(folder) / name).unlink()
    sys.exit(bool(faults))


if __name__ == "__main__":
    main()
