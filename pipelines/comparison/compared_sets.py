"""The synthetic sets that a comparison is given: their names, and whether they may be compared."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from pipelines.comparison.arms import OWN_SET
from pipelines.comparison.datasets import Datasets
from pipelines.comparison.design import Design
from pipelines.comparison.replicates import WantedGenerator, wanted_generators
from pipelines.results.comparison_summary import SetUse
from pipelines.study.labels import order_in_turn
from pipelines.study.shares import RealShare
from pipelines.study.split import load_splits
from pipelines.study.synthetic import (
    SET_NAME,
    STATED,
    UNKNOWN,
    ForeignOrigin,
    SyntheticSet,
    foreign_origin,
    load_synthetic_split,
    read_synthetic,
)
from pipelines.study.views import view_of
from pipelines.study.workspace import Workspace
from runtime.options import OptionError
from runtime.run import Run


@dataclass(frozen=True)
class ComparedSet:
    """A synthetic set that is compared.

    Attributes:
        name: What its arms are called after.
        run: The synthesis.
        generator: The run that trained its generator; None where another program made it.
        foreign: What is known of a set of another program; None of one of ours.
    """

    name: str
    run: Run
    generator: Run | None
    foreign: ForeignOrigin | None

    @property
    def first(self) -> Run:
        """The generator of a set that has one of ours."""
        assert self.generator is not None, f"{self.name} is of another program"
        return self.generator

    def wanted(self, design: Design) -> list[WantedGenerator]:
        """List the generators that the design wants of it; none of another program."""
        if self.generator is None:
            return []
        return wanted_generators(self.generator, design.shares(), design.generators)

    def use(self) -> SetUse:
        """Return what the summary says of it."""
        foreign = self.foreign
        return SetUse(
            name=self.name,
            run=self.run.name,
            statement=foreign.statement if foreign else None,
            source=foreign.source if foreign else None,
            n_trained_on=len(self.run.config.get("trained_on") or []),
            changes=foreign.changes if foreign else (),
        )


def find_sets(workspace: Workspace, text: str | None) -> list[ComparedSet]:
    """Find the sets of "RUN" or "[NAME=]RUN,…", or the newest.

    A set of ours is called gan, one of another program as its import called it; where two would be
    called alike, the number of the run stands behind. Raises OptionError for a name that is none,
    or that two sets are given.
    """
    found = []
    for part in text.split(",") if text else [None]:
        given, equals, name_of_run = (part or "").strip().rpartition("=")
        if equals and not SET_NAME.fullmatch(given):
            raise OptionError(
                "synthetic",
                part,
                "expected RUN or NAME=RUN, the name of up to 32 letters, digits, - and _",
            )
        found.append((given, workspace.find_run("synthesize", name_of_run or None)))
    called = [given or _own_name(run) for given, run in found]
    counts = Counter(name.lower() for name in called)
    names = [
        f"{name}-{run.name.split('-')[0]}" if counts[name.lower()] > 1 and not given else name
        for name, (given, run) in zip(called, found, strict=True)
    ]
    if len({name.lower() for name in names}) < len(names) or len(
        {run.folder for _, run in found}
    ) < len(found):
        raise OptionError("synthetic", text, "expected sets of different names and runs")
    return [_make(workspace, name, run) for name, (_, run) in zip(names, found, strict=True)]


def sets_text(sets: Sequence[ComparedSet]) -> str:
    """Write sets as they are given: RUN alone for one of ours without a name."""
    if [own.name for own in sets] == [OWN_SET]:
        return sets[0].run.name
    return ",".join(f"{own.name}={own.run.name}" for own in sets)


def _own_name(run: Run) -> str:
    foreign = foreign_origin(run.config)
    return foreign.name if foreign else OWN_SET


def _make(workspace: Workspace, name: str, run: Run) -> ComparedSet:
    foreign = foreign_origin(run.config)
    generator = None
    if foreign is None:
        generator = workspace.find_run("gan-train", run.config["generator"], holding="generator.pt")
    return ComparedSet(name, run, generator, foreign)


def check_alike(sets: Sequence[ComparedSet]) -> None:
    """Raise OptionError when sets differ in size, view or labels, so that arms would too."""
    for what in ("image_size", "view", "labels"):
        values = {
            own.name: view_of(own.run.config)
            if what == "view"
            else sorted(own.run.config[what])
            if what == "labels"
            else own.run.config[what]
            for own in sets
        }
        if any(value != values[sets[0].name] for value in values.values()):
            listed = ", ".join(f"{name} {value}" for name, value in values.items())
            raise OptionError(
                "synthetic",
                sets_text(sets),
                f"the sets differ in {what.replace('_', ' ')}: {listed}",
            )


def added_labels(sets: Sequence[ComparedSet]) -> list[str]:
    """Return the labels that added images have in turn, the same for every set.

    Of one set of ours those that it was asked for; else as many of each label as the smallest set
    has of it.
    """
    if len(sets) == 1 and sets[0].generator is not None:
        return list(sets[0].run.config["labels"])
    counts = [Counter(row.label for row in read_synthetic(own.run.folder).rows) for own in sets]
    labels = [
        label for label in sorted(counts[0]) for _ in range(min(count[label] for count in counts))
    ]
    return [labels[place] for place in order_in_turn(labels)]


def check_design(sets: Sequence[ComparedSet], design: Design, datasets: Datasets) -> None:
    """Raise OptionError when the design asks of a set of another program what it cannot give."""
    for own in sets:
        if own.generator is not None:
            continue
        for option, count in (("generators", design.generators), ("draws", design.draws)):
            if count > 1:
                raise OptionError(
                    option,
                    count,
                    f"{own.name} was made by another program: there is one generator and one draw "
                    "of it; bring others as sets of their own",
                )
        added = read_synthetic(own.run.folder)
        _check_images(own, added, datasets)
        for share in datasets.views:
            _check_share(own, added, share, datasets)


def _check_images(own: ComparedSet, added: SyntheticSet, datasets: Datasets) -> None:
    """Raise OptionError when a set has too few images of a label."""
    counts = Counter(row.label for row in added.rows)
    needed = np.max([datasets.needed_of_label(share) for share in datasets.views], axis=0)
    for label, count in zip(datasets.classes, needed.tolist(), strict=True):
        if counts[label] < count:
            raise OptionError(
                "synthetic",
                own.name,
                f"it has {counts[label]} images of {label}, and its arms need {count}; take a "
                "smaller `synthetic_ratio`, or bring more",
            )


def _check_share(
    own: ComparedSet, added: SyntheticSet, share: RealShare, datasets: Datasets
) -> None:
    """Raise OptionError when the generator saw, or may have seen, reals beyond a share."""
    if share == RealShare():
        return
    training = {row.sha256 for row in datasets.views[share] if row.split == "train"}
    beyond = added.trained_on - training
    field = "folds" if share.fold is not None else "real_fractions"
    value = share.folds if share.fold is not None else f"{share.fraction}"
    if added.statement == UNKNOWN:
        raise OptionError(
            field,
            value,
            f"what the generator of {own.name} was trained on is unknown, perhaps all reals; "
            "compare its set on all of them, in the study's own split",
        )
    if added.statement == STATED and beyond:
        raise OptionError(
            field,
            value,
            f"the generator of {own.name} was trained on {len(beyond)} images beyond {share}; "
            "bring one that was trained on an export of that share: cxr data export DIR --for "
            f"imagefolder --real-fraction {share.fraction}",
        )


def check_given_sets(
    workspace: Workspace, sets: Sequence[ComparedSet], classes: Sequence[str]
) -> None:
    """Raise ValueError unless every set may be added to the study's own training split."""
    splits = None
    for own in sets:
        added = read_synthetic(own.run.folder)
        if splits is None:
            splits = load_splits(workspace, added.image_size, classes)
        load_synthetic_split(added, splits, workspace.rows(), classes)
