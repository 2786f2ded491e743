"""The arms of a comparison: what each one's classifiers are trained on."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from classifier.config import ClassifierConfig
from pipelines.study.split import Split
from runtime.options import OptionError
from runtime.randomness import numpy_generator

OWN_SET = "gan"  # the name of a set of our own generator, where it has no other
FINE_TUNING_RATE = "rate"  # of a recipe: of the peak learning rate, after pretraining
BALANCE = "balance"  # of a recipe: of unequal classes
RECIPE_FIELDS = {  # of a recipe, as fields of ClassifierConfig
    BALANCE: "balance",
    "share": "synthetic_share",
    "until": "synthetic_until",
    "weight": "synthetic_weight",
    "statistics": "synthetic_statistics",
    "keep": "synthetic_keep",
}


@dataclass(frozen=True, kw_only=True)
class Arm:
    """A way to make a training set out of reals and as many images added to them.

    Attributes:
        about: What it is trained on, in words.
        added: What is added: "synthetic" images; "shuffled", those with permuted labels;
            "duplicates" of the reals; "oracle", fresh true images; or nothing.
        fills_classes: Whether of each class only as many are added as it lacks to the largest, so
            that no ratio says how many.
        reals: "mixed" with what is added; "after" it, by fine-tuning; or "none".
        classical: Whether every batch is classically augmented.
        balance: How unequal classes are made up for, where the comparison does not say it.
        recipe: Options of its own, by their names in RECIPE_FIELDS or FINE_TUNING_RATE.
        set_name: Which of the synthetic sets of the comparison it has, where it has one.
        base: The name of the same arm without the set's; empty where it is the arm's own.
    """

    name: str
    about: str
    added: str = ""
    fills_classes: bool = False
    reals: str = "mixed"
    classical: bool = False
    balance: str = "none"
    recipe: tuple[tuple[str, float | str], ...] = ()
    set_name: str = OWN_SET
    base: str = ""

    @property
    def synthetic(self) -> bool:
        """Whether it needs a generator's images."""
        return self.added in ("synthetic", "shuffled")

    @property
    def has_ratio(self) -> bool:
        """Whether it adds images to the reals by a ratio, or else a whole set of them."""
        return bool(self.added) and not self.fills_classes

    @property
    def mixes_synthetic(self) -> bool:
        """Whether its batches mix reals and synthetic images in any share that is asked for."""
        return self.synthetic and self.reals == "mixed" and not self.fills_classes

    @property
    def is_baseline(self) -> bool:
        """Whether anybody could have it without a generator: it has the study's reals alone."""
        return self.added in ("", "duplicates")

    @property
    def like(self) -> str | None:
        """The arm that is the same but for its synthetic images; None where it has none."""
        if self.added != "synthetic":
            return None
        return "real+classical" if self.classical else "real"

    def configure(self, config: ClassifierConfig) -> ClassifierConfig:
        """Return the options of its classifiers in a comparison with these.

        How synthetic images are mixed with reals is said to arms that do.
        """
        own = replace(
            config,
            augment=config.augment or self.classical,
            balance=config.balance if self.balance == "none" else self.balance,
        )
        if not self.mixes_synthetic:
            own = own.without_mixing()
        own_options = {
            RECIPE_FIELDS[name]: value for name, value in self.recipe if name in RECIPE_FIELDS
        }
        return replace(own, **own_options)  # type: ignore[arg-type]

    def fine_tune(self, config: ClassifierConfig) -> ClassifierConfig:
        """Return the options of training on reals, after a training by these on what is added."""
        rate = dict(self.recipe).get(FINE_TUNING_RATE, 1.0)
        return replace(config, learning_rate=config.learning_rate * float(rate))

    def of_set(self, name: str) -> Arm:
        """Return the same arm with another synthetic set: real+gan-balanced, real+NAME-balanced."""
        if name == self.set_name or not self.synthetic:
            return self
        own = self.name.replace(OWN_SET, name)
        if self.added == "shuffled":
            own = self.name.replace("shuffled", f"{name}-shuffled")
        about = f"{self.about}, of the set {name}"
        return replace(self, name=own, about=about, set_name=name, base=self.name)

    def is_rival_of(self, other: Arm) -> bool:
        """Whether it differs from another arm by its synthetic set alone."""
        same = (self.base or self.name) == (other.base or other.name)
        return same and self.set_name != other.set_name


ARMS = {
    arm.name: arm
    for arm in (
        Arm(name="real", about="real images"),
        Arm(name="real+classical", about="real images, classically augmented", classical=True),
        Arm(
            name="real+weights",
            about="real images, seldom classes weighing more in the loss",
            balance="weights",
        ),
        Arm(
            name="real+oversampled",
            about="real images, all classes drawn as often",
            balance="sampling",
        ),
        Arm(
            name="real+duplicates",
            about="real images, repeated as often as others have synthetic ones",
            added="duplicates",
        ),
        Arm(name="real+gan", about="real and synthetic images", added="synthetic"),
        Arm(
            name="real+gan+classical",
            about="real and synthetic images, classically augmented",
            added="synthetic",
            classical=True,
        ),
        Arm(
            name="real+gan-balanced",
            about="real images, and of each class as many synthetic ones as it lacks",
            added="synthetic",
            fills_classes=True,
        ),
        Arm(name="gan-only", about="synthetic images alone", added="synthetic", reals="none"),
        Arm(
            name="gan-pretrain",
            about="synthetic images first, real ones after",
            added="synthetic",
            reals="after",
        ),
        Arm(
            name="real+shuffled",
            about=(
                "real images, and synthetic ones with shuffled labels: a control that must not help"
            ),
            added="shuffled",
        ),
        Arm(
            name="real+oracle",
            about="real images, and fresh phantoms: a control that must help",
            added="oracle",
        ),
    )
}
SET_ARM_ENDS = ("-balanced", "-only", "-pretrain", "-shuffled")  # of arms' names, behind a set's
DEFAULT_ARMS = ("real", "real+classical", "real+gan", "real+gan+classical")


def arms_of_sets(arms: Sequence[Arm], sets: Sequence[str]) -> list[Arm]:
    """Return these arms, those with synthetic images once for each set.

    Raises OptionError where the names of two arms would be one.
    """
    arms = [arm.of_set(name) for arm in arms for name in (sets if arm.synthetic else sets[:1])]
    for name in sets:
        reserved = {f"real+{name}", f"real+{name}+classical"} & ARMS.keys()
        if (name != OWN_SET and reserved) or name.endswith(SET_ARM_ENDS):
            raise OptionError(
                "synthetic",
                name,
                "a set of this name would be taken for another arm; give it another with NAME=RUN",
            )
    return arms


def training_sets(arm: Arm, reals: Split, added: Split | None) -> list[Split]:
    """Return what to train on, one set after the other."""
    if added is None:
        return [reals]
    if arm.reals == "none":
        return [added]
    return [added, reals] if arm.reals == "after" else [reals.join(added)]


def count_lacking(labels: np.ndarray, num_classes: int) -> np.ndarray:
    """Count the images (K,) that each class lacks to be as large as the largest. labels: (N,)."""
    counts = np.bincount(labels, minlength=num_classes)
    lacking: np.ndarray = counts.max() - counts
    return lacking


def repeat_reals(reals: Split, target_labels: np.ndarray, seed: int) -> Split:
    """Repeat real images so that the result has `target_labels` (N,).

    Within a class every image is used equally often, give or take one.
    """
    random = numpy_generator(seed, "duplicates")
    places = np.empty(len(target_labels), np.int64)  # in the reals, of each image
    for label in np.unique(target_labels):
        members = np.flatnonzero(reals.labels == label)
        targets = np.flatnonzero(target_labels == label)
        rounds = math.ceil(len(targets) / len(members))
        shuffled = np.concatenate([random.permutation(members) for _ in range(rounds)])
        places[targets] = shuffled[: len(targets)]
    return reals.take(places.tolist())


def shuffle_labels(split: Split, seed: int) -> Split:
    """Give each image the label of another, all labels being used once."""
    labels = numpy_generator(seed, "shuffled").permutation(split.labels)
    return Split(split.images, labels, split.file_names, split.patients)
