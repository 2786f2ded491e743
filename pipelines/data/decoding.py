"""Files to 8-bit gray PNGs in a staging folder.

They are decoded in parallel, with memory for a few at a time, and with a journal from which an
interrupted import goes on.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import signal
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path

from pipelines.data.alterations import altered_hashes
from pipelines.data.cleaning import find_fault, perceptual_hash
from pipelines.data.listing import SourceImage
from pipelines.study.image_io import MAX_BYTES, pixel_hash, write_gray
from pipelines.study.projections import projection_kind
from runtime.child_process import end_with_parent
from runtime.files import check_file, name_in_errors
from runtime.processors import count_processors
from runtime.progress import progress
from runtime.run import Interrupted, stop_on_signal

MAX_PROCESSES = 16
FLUSH_EVERY = 64  # images, of the journal
NOT_FRONTAL = "not a frontal X-ray"


@dataclass(frozen=True)
class Decoded:
    """What became of one image: the file written for it, or why there is none.

    Attributes:
        file: In the staging folder.
        sha256: Of its pixels.
        near_hash: See cleaning.perceptual_hash; empty for a phantom.
        altered_hashes: See alterations.altered_hashes; empty for a phantom.
        height, width: Of the file written.
        patient, issuer, view, may_show_text: As DICOM has it; see dicom.Header.
        is_dicom: Whether the file is DICOM.
        problem: Why there is no file, as "kind: details".
    """

    file: str = ""
    sha256: str = ""
    near_hash: str = ""
    altered_hashes: str = ""
    height: int = 0
    width: int = 0
    patient: str = ""
    issuer: str = ""
    view: str = ""
    may_show_text: bool = False
    is_dicom: bool = False
    problem: str = ""


@dataclass(frozen=True)
class _Task:
    """One image to decode, and the file to write."""

    image: SourceImage
    target: Path
    min_side: int


def decode_all(images: Sequence[SourceImage], staging: Path, min_side: int) -> list[Decoded]:
    """Decode and write every image in parallel; results in the order of the images.

    What the journal has is not done again. Raises Interrupted after a signal.
    """
    journal = staging / "journal.jsonl"
    keys = [_journal_key(image, min_side) for image in images]
    known = _read_journal(journal, staging)
    results = {index: known[key] for index, key in enumerate(keys) if key in known}
    todo = [index for index in range(len(images)) if index not in results]
    tasks = [_Task(images[index], staging / _staged_name(keys[index]), min_side) for index in todo]
    processes = min(count_processors(), MAX_PROCESSES)
    with (
        stop_on_signal() as stop,
        name_in_errors(journal),
        open(journal, "a", encoding="utf-8", errors="surrogateescape") as log,
        ProcessPoolExecutor(processes, initializer=_begin_worker) as pool,
        progress(len(images), "import", "image", done=len(results)) as bar,
    ):
        for index, result in zip(todo, _decode_in_order(pool, tasks, 8 * processes), strict=True):
            results[index] = result
            log.write(json.dumps({"key": keys[index], **asdict(result)}) + "\n")
            if len(results) % FLUSH_EVERY == 0:
                log.flush()
            bar.update()
            if stop.requested:
                pool.shutdown(cancel_futures=True)
                raise Interrupted(
                    f"stopped after {len(results)} of {len(images)} images; "
                    "the same command goes on from there"
                )
    return [results[index] for index in range(len(images))]


def _decode_in_order(
    pool: ProcessPoolExecutor, tasks: Sequence[_Task], ahead: int
) -> Iterator[Decoded]:
    """Yield results in the order of the tasks, with only so many tasks handed out ahead.

    So memory does not grow with their number.
    """
    waiting = iter(tasks)
    pending = deque(pool.submit(_decode, task) for task in islice(waiting, ahead))
    while pending:
        result = pending.popleft().result()
        pending.extend(pool.submit(_decode, task) for task in islice(waiting, 1))
        yield result


def _begin_worker() -> None:
    """Leave Ctrl-C, which reaches every process of a terminal, to the first process.

    And do not outlive it when it is killed.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    end_with_parent()


def _decode(task: _Task) -> Decoded:
    """Decode, check and write one image, in a worker."""
    image = task.image
    if projection_kind(image.view) == "not frontal":
        return Decoded(problem=f"{NOT_FRONTAL}: view {image.view}")
    try:
        picture = image.load()
    except (ValueError, FileNotFoundError) as error:
        return Decoded(problem=_describe_problem(str(error), image.origin))
    header = picture.header
    if header and projection_kind(header.view) == "not frontal":
        return Decoded(problem=f"{NOT_FRONTAL}: view {header.view}")
    if problem := find_fault(picture, task.min_side):
        return Decoded(problem=problem)
    notes = {"Comment": image.note} if image.note else {}
    write_gray(task.target, picture.gray, **notes)
    height, width = picture.gray.shape
    return Decoded(
        file=task.target.name,
        sha256=pixel_hash(picture.gray),
        # Phantoms are alike by their making, and nobody re-encodes them.
        near_hash="" if image.note else perceptual_hash(picture.gray),
        altered_hashes="" if image.note else altered_hashes(picture.gray),
        height=height,
        width=width,
        patient=header.patient if header else "",
        issuer=header.issuer if header else "",
        view=header.view if header else "",
        may_show_text=header.may_show_text if header else False,
        is_dicom=header is not None,
    )


def _describe_problem(message: str, origin: str) -> str:
    """Write a message about a file as "kind: details", without the file's name."""
    reason = (
        " ".join(message.replace(origin, "").split())
        .removeprefix("is ")
        .removeprefix("has ")
        .removeprefix("holds ")
    )
    if reason.startswith("more pixels than"):
        return f"too many pixels: {reason}"
    for kind in ("more than one picture", "not a radiograph", "compressed"):
        if reason.startswith(kind):
            return f"{kind}: {reason}"
    return f"unreadable: {reason}"


def _journal_key(image: SourceImage, min_side: int) -> str:
    """Return what a decoded image is known by: its file as it was, and how it was checked."""
    try:
        status = os.stat(image.origin)
        when = f"{status.st_size} {status.st_mtime_ns}"
    except OSError:
        when = ""
    return f"{image.origin} {when} {min_side} {image.view}"


def _staged_name(key: str) -> str:
    """Return the name of a decoded image's file in the staging folder."""
    return f"{hashlib.sha256(key.encode(errors='surrogateescape')).hexdigest()[:24]}.png"


def _read_journal(journal: Path, staging: Path) -> dict[str, Decoded]:
    """Read what an interrupted import has decoded; a line that was cut short does not count."""
    decoded = {}
    if journal.exists():
        check_file(journal, MAX_BYTES)
        damage = (ValueError, TypeError, LookupError, AttributeError, RecursionError)
        for line in journal.read_text(encoding="utf-8", errors="surrogateescape").splitlines():
            with contextlib.suppress(*damage):
                values = json.loads(line)
                key, result = values.pop("key"), Decoded(**values)
                is_whole = result.file == _staged_name(key) and (staging / result.file).exists()
                if is_whole or not result.file:
                    decoded[key] = result
    return decoded
