"""Whether images that another program made lie nearer to the held-out images than they may."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from pipelines.metrics.nearness import Copies, Favour
from runtime.records import read_record, write_record

HELD_OUT_FILE = "held_out_nearness.json"
HELD_OUT_FORMAT = 1


@dataclass(frozen=True, kw_only=True)
class HeldOutNearness:
    """The memorisation tests of `nearness` in pixels, with the parts of the splits exchanged.

    Attributes:
        n_synthetic, n_training, n_held_out: How many images it is told by.
        copies: Synthetic images that are too near to a validation or test image.
        favour: Share of synthetic images whose nearest real is a held-out one.
        warnings: In plain words.
    """

    n_synthetic: int
    n_training: int
    n_held_out: int
    copies: Copies
    favour: Favour
    warnings: list[str]

    @classmethod
    def load(cls, folder: Path) -> HeldOutNearness | None:
        """Read it from the folder of a set; None where there is none, as with sets of ours."""
        path = folder / HELD_OUT_FILE
        if not path.exists():
            return None
        return read_record(path, cls, HELD_OUT_FORMAT, remedy="cxr synthesize --from")

    def save(self, folder: Path) -> None:
        """Write it into the folder of a set."""
        write_record(folder / HELD_OUT_FILE, self, HELD_OUT_FORMAT)

    @property
    def sentence(self) -> str:
        """All that in words."""
        share, reals = self.copies.share, self.copies.reals_share
        return (
            f"copies of held-out images: {self.copies.count} of {share.n} images "
            f"({100 * share.value:.1f} %, interval {100 * share.low:.1f} to "
            f"{100 * share.high:.1f}) are nearer to a validation or test image, in "
            f"pixels, than 99 % of real images are to another patient's ({100 * reals.value:.1f} % "
            f"of reals, p = {self.copies.p:.3f}); the nearest real is a held-out one for "
            f"{100 * self.favour.share:.1f} %, by lot for {100 * self.favour.by_lot:.1f} % "
            f"(p = {self.favour.p:.3f})"
        )
