"""Files to 8-bit gray PNGs in a staging folder, in parallel, with memory for a few at a time, and a journal to go on from."""

from __future__ import annotations

import contextlib
import hashlib
import json
import multiprocessing.connection
import os
import signal
import threading
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path

from pipelines.data.cleaning import fault, perceptual_hash
from pipelines.data.sources import Record
from pipelines.study.dicom import LATERAL
from pipelines.study.image_io import MAX_BYTES, pixel_hash, write_gray
from runtime.files import check_file, named
from runtime.progress import progress
from runtime.run import Interrupted, stop_on_signal


@dataclass(frozen=True)
class Decoded:
    """What became of one record: the file written for it, or why there is none."""

    file: str = ""  # in the staging folder
    sha256: str = ""
    near_hash: str = ""
    height: int = 0
    width: int = 0
    patient: str = ""  # as DICOM has it
    view: str = ""
    may_show_text: bool = False
    problem: str = ""  # "kind: details"


def decode_all(records: Sequence[Record], staging: Path, min_side: int) -> list[Decoded]:
    """Decode and write every record in parallel; results in the order of the records. What the journal has is not done again."""
    journal = staging / "journal.jsonl"
    done = _read_journal(journal, staging)
    keys = [_stamp(record, min_side) for record in records]
    todo = [index for index, key in enumerate(keys) if key not in done]
    tasks = [(records[index], staging / _staged(keys[index]), min_side) for index in todo]
    results = {index: done[key] for index, key in enumerate(keys) if key in done}
    workers = min(os.cpu_count() or 1, 16)
    with (
        stop_on_signal() as stop,
        named(journal),
        open(journal, "a", encoding="utf-8", errors="surrogateescape") as log,
        ProcessPoolExecutor(workers, initializer=_begin_worker) as pool,
        progress(len(records), "import", "image", done=len(results)) as bar,
    ):
        for index, result in zip(todo, _in_order(pool, tasks, 8 * workers)):
            results[index] = result
            log.write(json.dumps({"key": keys[index], **asdict(result)}) + "\n")
            if len(results) % 64 == 0:
                log.flush()
            bar.update()
            if stop.requested:
                pool.shutdown(cancel_futures=True)
                raise Interrupted(
                    f"stopped after {len(results)} of {len(records)} images; the same command goes on from there"
                )
    return [results[index] for index in range(len(records))]


def _in_order(
    pool: ProcessPoolExecutor, tasks: Sequence[tuple[Record, Path, int]], ahead: int
) -> Iterator[Decoded]:
    """Results in the order of the tasks, with only so many tasks handed out ahead, so that memory does not grow with their number."""
    waiting = iter(tasks)
    pending = deque(pool.submit(_decode, task) for task in islice(waiting, ahead))
    while pending:
        result = pending.popleft().result()
        pending.extend(pool.submit(_decode, task) for task in islice(waiting, 1))
        yield result


def _begin_worker() -> None:
    """Leave Ctrl-C, which reaches every process of a terminal, to the first process; and do not outlive it when it is killed."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    first = multiprocessing.parent_process().sentinel
    threading.Thread(
        target=lambda: (multiprocessing.connection.wait([first]), os._exit(1)), daemon=True
    ).start()


def _decode(task: tuple[Record, Path, int]) -> Decoded:
    record, target, min_side = task
    try:
        picture = record.load()
    except (ValueError, FileNotFoundError) as error:
        return Decoded(problem=_anonymous(str(error), record.origin))
    header = picture.header
    if header and header.view in LATERAL:
        return Decoded(problem=f"not a frontal X-ray: view {header.view}")
    problem = fault(picture, min_side)
    if problem:
        return Decoded(problem=problem)
    write_gray(target, picture.gray, **({"Comment": record.note} if record.note else {}))
    facts = (
        {"patient": header.patient, "view": header.view, "may_show_text": header.may_show_text}
        if header
        else {}
    )
    near_hash = (
        "" if record.note else perceptual_hash(picture.gray)
    )  # phantoms are alike by their making, and nobody re-encodes them
    return Decoded(target.name, pixel_hash(picture.gray), near_hash, *picture.gray.shape, **facts)


def _anonymous(message: str, origin: str) -> str:
    """The reason in a message about a file, without the file's name: "unreadable: …" or what it has too much of."""
    reason = (
        " ".join(message.replace(origin, "").split())
        .removeprefix("is ")
        .removeprefix("has ")
        .removeprefix("holds ")
    )
    for kind in ("more pixels than", "more than one picture", "not a radiograph", "compressed"):
        if reason.startswith(kind):
            return f"{'too many pixels' if kind == 'more pixels than' else kind}: {reason}"
    return f"unreadable: {reason}"


def _stamp(record: Record, min_side: int) -> str:
    """What a decoded record is known by when an import goes on: its file as it was, and how it was checked."""
    try:
        status = os.stat(record.origin)
        when = f"{status.st_size} {status.st_mtime_ns}"
    except OSError:
        when = ""
    return f"{record.origin} {when} {min_side}"


def _staged(key: str) -> str:
    """The name of a decoded record's file in the staging folder."""
    return f"{hashlib.sha256(key.encode(errors='surrogateescape')).hexdigest()[:24]}.png"


def _read_journal(journal: Path, staging: Path) -> dict[str, Decoded]:
    """What an interrupted import has decoded; a line that was cut short is not there."""
    done = {}
    if journal.exists():
        check_file(journal, MAX_BYTES)
        for line in journal.read_text(encoding="utf-8", errors="surrogateescape").splitlines():
            with contextlib.suppress(
                ValueError, TypeError, LookupError, AttributeError, RecursionError
            ):  # whatever else stands there
                values = json.loads(line)
                key, result = values.pop("key"), Decoded(**values)
                if not result.file or (
                    result.file == _staged(key) and (staging / result.file).exists()
                ):
                    done[key] = result
    return done
