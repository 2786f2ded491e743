"""The arms of a comparison: what each one's classifiers are trained on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from pipelines.study.synthetic import Split
from runtime.randomness import numpy_generator


@dataclass(frozen=True, kw_only=True)
class Arm:
    """A way to make a training set out of reals and as many images beside them."""

    name: str
    about: str
    beside: str = ""  # synthetic; shuffled, those with permuted labels; duplicates, of the reals; oracle, fresh true images; or nothing
    reals: str = "mixed"  # with what is beside them; "after" it, by fine-tuning; or "none"
    classical: bool = False  # classical augmentation of every batch

    @property
    def synthetic(self) -> bool:
        """Whether it needs a generator's images."""
        return self.beside in ("synthetic", "shuffled")


ARMS = {
    arm.name: arm
    for arm in (
        Arm(name="real", about="real images"),
        Arm(name="real+classical", about="real images, classically augmented", classical=True),
        Arm(
            name="real+duplicates",
            about="real images, repeated as often as others have synthetic ones",
            beside="duplicates",
        ),
        Arm(name="real+gan", about="real and synthetic images", beside="synthetic"),
        Arm(
            name="real+gan+classical",
            about="real and synthetic images, classically augmented",
            beside="synthetic",
            classical=True,
        ),
        Arm(name="gan-only", about="synthetic images alone", beside="synthetic", reals="none"),
        Arm(
            name="gan-pretrain",
            about="synthetic images first, real ones after",
            beside="synthetic",
            reals="after",
        ),
        Arm(
            name="real+shuffled",
            about="real images, and synthetic ones with shuffled labels: a control that must not help",
            beside="shuffled",
        ),
        Arm(
            name="real+oracle",
            about="real images, and fresh phantoms: a control that must help",
            beside="oracle",
        ),
    )
}
DEFAULT_ARMS = ("real", "real+classical", "real+gan")


def chosen_arms(names: Sequence[str]) -> list[Arm]:
    """The arms of these names, `real` first, which all are compared with. Raises ValueError on one that there is not, and on none to compare."""
    unknown = [name for name in names if name not in ARMS]
    if unknown:
        raise ValueError(f"--arms {unknown[0]}: expected some of {', '.join(ARMS)}")
    chosen = [arm for name, arm in ARMS.items() if name == "real" or name in names]
    if len(chosen) < 2:
        raise ValueError(
            "--arms real: there is nothing to compare it with; add another, such as real+gan"
        )
    return chosen


def training_sets(arm: Arm, reals: Split, beside: Split | None) -> list[Split]:
    """What to train on, one set after the other."""
    if beside is None:
        return [reals]
    if arm.reals == "none":
        return [beside]
    return [beside, reals] if arm.reals == "after" else [reals.joined(beside)]


def duplicates(reals: Split, labels: np.ndarray, seed: int) -> Split:
    """Reals of these label indices (N,), none of them more than once oftener than another of its class."""
    random, places = numpy_generator(seed, "duplicates"), np.empty(len(labels), np.int64)
    for label in np.unique(labels):
        mine, wanted = np.flatnonzero(reals.labels == label), np.flatnonzero(labels == label)
        rounds = [random.permutation(mine) for _ in range(-(-len(wanted) // len(mine)))]
        places[wanted] = np.concatenate(rounds)[: len(wanted)]
    return reals.part(places.tolist())


def shuffled(split: Split, seed: int) -> Split:
    """The same images, each with the label of another."""
    return Split(
        split.images,
        numpy_generator(seed, "shuffled").permutation(split.labels),
        split.file_names,
        split.patients,
    )
