"""A step of a training that is recorded once and then replayed, where the device can do that.

A step of small networks is some six hundred kernels of a few microseconds each on CUDA, and to
launch them one by one takes several times as long as they run. A CUDA graph launches them all with
one call. It reads and writes the same memory each time: so batches are copied to tensors that
stay, and all that a step needs from outside is in a batch or in a tensor that is filled in place.
What layers draw from torch's own generator, as dropout does, begins at each replay where that
generator stands. Its results are those of the step itself.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, Self, TypeVar

import torch

UNRECORDED_STEPS = (
    3  # steps that are taken as they are, in which libraries and optimizers make their memory
)


@dataclass(frozen=True)
class TensorBatch:
    """What of a step is drawn beforehand: tensors alone, of the same shapes at every step."""

    def clone(self) -> Self:
        """Return a copy in memory of its own."""
        return type(self)(**{name: tensor.clone() for name, tensor in vars(self).items()})

    def copy_(self, other: Self) -> None:
        """Take over the values of another batch of the same shapes."""
        for name, tensor in vars(self).items():
            tensor.copy_(getattr(other, name))


Batch = TypeVar("Batch", bound=TensorBatch)


class RecordedStep(Generic[Batch]):
    """Takes the step that a function takes; on CUDA from a recording, after UNRECORDED_STEPS."""

    def __init__(self, take: Callable[[Batch], None], device: torch.device) -> None:
        """take: does the same to the same tensors each time, and reads nothing from the device."""
        self._take, self._device = take, device
        self._batch: Batch | None = None
        self._steps_taken = 0
        self._graph: torch.cuda.CUDAGraph | None = None
        # One stream for all of it: libraries keep what they made for a stream.
        self._stream = torch.cuda.Stream(device) if device.type == "cuda" else None

    def __call__(self, batch: Batch) -> None:
        """Take the step on this batch, whose shapes are always the same."""
        if self._batch is None:
            self._batch = batch.clone()
        else:
            self._batch.copy_(batch)
        if self._stream is None:
            self._take(self._batch)
        elif self._steps_taken < UNRECORDED_STEPS:
            self._warm_up(self._batch, self._stream)
        else:
            if self._graph is None:
                self._graph = self._record(self._batch, self._stream)
            self._graph.replay()
        self._steps_taken += 1

    def _warm_up(self, batch: Batch, stream: torch.cuda.Stream) -> None:
        """Take the step as it is, on the stream of the recording."""
        present = torch.cuda.current_stream(self._device)
        stream.wait_stream(present)
        with torch.cuda.stream(stream):
            self._take(batch)
        present.wait_stream(stream)

    def _record(self, batch: Batch, stream: torch.cuda.Stream) -> torch.cuda.CUDAGraph:
        """Record the step, which is not taken by that; other threads may use the device."""
        graph = torch.cuda.CUDAGraph()
        with (
            torch.cuda.device(self._device),
            torch.cuda.graph(graph, stream=stream, capture_error_mode="thread_local"),
        ):
            self._take(batch)
        return graph
