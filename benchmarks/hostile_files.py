"""Thousands of broken and hostile files through the readers, and how much memory the largest that are read take.

    python benchmarks/hostile_files.py [--cases 1000] [--seed 0]

So many generated cases for each of five readers: pictures, the study's manifest, manifests of synthetic sets, tables of sources, configurations. A case
fails when a reader raises anything but ValueError or FileNotFoundError, does not name the file, gives what is no picture or a path outside of the
folder, starts a program, or writes anything. Then the worst files within the limits, each read in a process of its own, with its peak memory.
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
from pipelines.study.manifest import MAX_CELLS, MAX_TABLE
from runtime.files import MAX_JSON
from tests import test_hostile_files as checks
from tests.hostile import (
    dicom_bytes,
    hostile_configurations,
    hostile_manifests,
    hostile_pictures,
    hostile_sets,
    hostile_sources,
)

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
        lambda case: checks.check_table(*case, checks.files_of_source),
    ),
    "configurations": (hostile_configurations(), checks.check_configuration),
}
MEASURE = """
import sys
from pathlib import Path
from pipelines.study.manifest import read_table
from pipelines.study.image_io import read_picture
from pipelines.data.sources import read_rows
from runtime.files import read_json

def peak(name="VmHWM"):
    return int(next(line for line in open("/proc/self/status") if line.startswith(name)).split()[1])

path = Path(sys.argv[1])
before = peak("VmRSS")
try:
    {".csv": lambda path: read_rows(path, ("a",)), ".table": lambda path: read_table(path, ("a", "b")), ".json": read_json}.get(path.suffix, read_picture)(path)
    said = "read"
except ValueError as error:
    said = f"refused: {str(error).replace(str(path), path.name)[:90]}"
print(f"{(peak() - before) / 1024:6.0f} MB  {said}")
"""


def large_files() -> dict[str, Callable[[Path], Any]]:
    """The files of each kind that take the most memory and are still read, or are refused last: how each is written."""
    side = int(MAX_PIXELS**0.5)
    deep = np.tile(np.arange(side, dtype=np.uint16), (side, 1))
    about = {"Rows": side, "Columns": side}
    window = {"WindowCenter": 500, "WindowWidth": 800, "RescaleSlope": 2, "RescaleIntercept": -100}
    return {
        "gray.png": lambda path: Image.new("L", (side, side)).save(path, compress_level=1),
        "colour.png": lambda path: Image.new("RGB", (side, side)).save(path, compress_level=1),
        "transparent.png": lambda path: Image.new("RGBA", (side, side)).save(
            path, compress_level=1
        ),
        "deep.png": lambda path: Image.fromarray(deep).save(path, compress_level=1),
        "float.tif": lambda path: Image.fromarray(deep.astype(np.float32)).save(path),
        "plain.dcm": lambda path: path.write_bytes(dicom_bytes(PixelData=deep.tobytes(), **about)),
        "window.dcm": lambda path: path.write_bytes(
            dicom_bytes(PixelData=deep.tobytes(), **about, **window)
        ),
        "wide.csv": lambda path: path.write_text(
            "a,b," + ",".join(map(str, range(100_000))) + "\n" + "x\n" * 200_000
        ),
        "full.csv": lambda path: path.write_text("a,b,c,d\n" + "1,2,3,4\n" * (MAX_CELLS // 4)),
        "tall.table": lambda path: path.write_text("a,b\n" + ",\n" * (MAX_CELLS // 2)),
        "long.csv": lambda path: path.write_text(
            "a,b\n" + ("x" * 100_000 + ",ä\n") * (MAX_TABLE // 100_010)
        ),
        "objects.json": lambda path: path.write_text(
            '{"a": [' + ",".join(["{}"] * ((MAX_JSON - 20) // 3)) + "]}"
        ),
        "numbers.json": lambda path: path.write_text(
            '{"a": [' + ",".join(["1e9"] * ((MAX_JSON - 20) // 4)) + "]}"
        ),
    }


@click.command()
@click.option("--cases", default=1000, help="Generated cases for each reader.")
@click.option("--seed", default=0, help="Seed of the cases.")
def main(cases: int, seed: int) -> None:
    warnings.simplefilter("ignore")
    logging.disable()
    faults: dict[str, Any] = {}
    for name, (strategy, check) in READERS.items():
        counts: Counter[str] = Counter()

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
                faults.setdefault(
                    f"{name}: {type(error).__name__} {str(error)[:120]} at {Path(last.filename).name}:{last.lineno}",
                    case,
                )

        started = time.monotonic()
        run()
        print(
            f"{name:28} {counts.total():6d} cases: {', '.join(f'{count} {what}' for what, count in sorted(counts.items()))}; {time.monotonic() - started:.0f} s",
            flush=True,
        )
    for fault, case in faults.items():
        print(f"FAULT {fault}\n      {case!r:.300}")
    with tempfile.TemporaryDirectory() as folder:
        for name, write in large_files().items():
            path = Path(folder) / name
            write(path)
            done = subprocess.run(
                [sys.executable, "-W", "ignore", "-c", MEASURE, str(path)],
                cwd=ROOT,
                capture_output=True,
                text=True,
            )
            print(
                f"{name:16} {path.stat().st_size / 1e6:6.1f} MB on disk, peak of the process {done.stdout.strip() or done.stderr.strip()[-300:]}",
                flush=True,
            )
            path.unlink()
    sys.exit(bool(faults))


if __name__ == "__main__":
    main()
