"""A run's journal and sample grids as TensorBoard shows them, while the run is at work.

The journal is what counts: it is followed line by line, and where it was cut back, as on resuming,
the events are written anew from its beginning. So a step is never shown twice.
"""

from __future__ import annotations

import importlib.util
import json
import shutil
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from runtime.options import OptionError
from runtime.run import Run

if TYPE_CHECKING:
    from torch.utils.tensorboard import SummaryWriter

FOLDER = "tensorboard"  # in the run's


def require_tensorboard() -> None:
    """Raise OptionError when the package is not installed."""
    if importlib.util.find_spec("tensorboard") is None:
        raise OptionError(
            "tensorboard", "yes", "the package is not installed; pip install tensorboard"
        )


class TensorBoardLog:
    """Writes the events of one run; `update` is called when its journal has grown."""

    def __init__(self, run: Run, classes: Sequence[str]) -> None:
        """classes: What the values of a list in the journal are of."""
        self.run, self.classes = run, classes
        self._writer: SummaryWriter | None = None
        self._bytes_read, self._last_step = 0, 0
        self._grids: set[int] = set()  # steps whose grid is shown

    def update(self) -> None:
        """Write what the journal and the folder of samples have got since the last call."""
        size = self.run.journal_size()
        if self._writer is None or size < self._bytes_read:
            self._writer = self._begin()
        with open(self.run.journal_path, "rb") as file:
            file.seek(self._bytes_read)
            lines = file.read(size - self._bytes_read).decode().splitlines()
        self._bytes_read = size
        for line in lines:
            self._write_event(self._writer, json.loads(line))
        self._write_grids(self._writer)
        self._writer.flush()

    def _begin(self) -> SummaryWriter:
        """Write from the beginning of the journal; a killed process may have left more than it."""
        from torch.utils.tensorboard import SummaryWriter

        if self._writer is not None:
            self._writer.close()
        folder = self.run.folder / FOLDER
        shutil.rmtree(folder, ignore_errors=True)
        self._bytes_read, self._last_step, self._grids = 0, 0, set()
        return SummaryWriter(str(folder))

    def _write_event(self, writer: SummaryWriter, event: Mapping[str, Any]) -> None:
        step = event.get("step")
        if step is None:
            return
        self._last_step = max(self._last_step, step)
        for name, value in event.items():
            if isinstance(value, str):
                writer.add_text(name, value, step)
            elif isinstance(value, list):
                for label, of_class in zip(self.classes, value, strict=True):
                    writer.add_scalar(f"{name}/{label}", of_class, step)
            elif name != "step" and value is not None:
                writer.add_scalar(name, value, step)

    def _write_grids(self, writer: SummaryWriter) -> None:
        for path in sorted((self.run.folder / "samples").glob("step-*.png")):
            step = int(path.stem.removeprefix("step-"))
            if step <= self._last_step and step not in self._grids:
                self._grids.add(step)
                with Image.open(path) as image:
                    writer.add_image("samples", np.asarray(image), step, dataformats="HW")
