"""A comparison before anything of it is trained: what is compared, and with which images."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

from classifier.config import ClassifierConfig
from pipelines.comparison.datasets import Datasets, load_datasets, phantom_seeds
from pipelines.comparison.design import Design, Trial
from pipelines.comparison.replicates import (
    WantedGenerator,
    check_enough_images,
    find_generator,
    wanted_generators,
)
from pipelines.comparison.summary import count_images
from pipelines.results.comparison_summary import Plan
from pipelines.study.labels import (
    choose_image_size,
    choose_positive_class,
    list_classes,
)
from pipelines.study.runs import RunRequest, RunStart, prepare_run
from pipelines.study.split import load_splits
from pipelines.study.synthetic import load_synthetic_split, read_synthetic
from pipelines.study.view_names import WHOLE
from pipelines.study.views import choose_view
from pipelines.study.workspace import Workspace
from runtime.options import OptionError
from runtime.run import Run


@dataclass(frozen=True, kw_only=True)
class ComparisonSettings:
    """What `cxr compare` was asked for, beside its design."""

    config: ClassifierConfig  # of every classifier; its seed is the first of consecutive ones
    synthetic: str | None = None  # the set of generator 0's draw 0; the newest when None
    positive: str | None = None  # the class that sensitivity is about
    view: str | None = None  # what of the images is seen; the synthetic set's, where there is one


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """A comparison before anything of it is trained."""

    workspace: Workspace
    start: RunStart[ComparisonSettings]
    design: Design
    positive: str
    datasets: Datasets
    synthetic_set: Run | None  # that all further ones are made like
    generator: Run | None  # that the synthetic set is of, and all further ones are made like
    wanted: list[WantedGenerator]
    trials: list[Trial]

    @property
    def config(self) -> ClassifierConfig:
        return self.start.settings.config

    @property
    def classes(self) -> list[str]:
        return self.datasets.classes

    @cached_property
    def missing(self) -> list[WantedGenerator]:
        """The generators that were still to be trained when this was first asked."""
        if self.generator is None:
            return []
        return [
            wanted
            for wanted in self.wanted
            if find_generator(self.workspace, self.generator, wanted) is None
        ]

    def plan(self) -> Plan:
        """What would be trained, and which differences can be expected to be found."""
        return self.design.plan(count_images(self.datasets.test))


def prepare_comparison(
    workspace: Workspace,
    options: dict[str, Any],
    request: RunRequest,
    *,
    design: dict[str, Any],
    synthetic: str | None,
    positive: str | None,
    view: str | None = None,
) -> Comparison:
    """Settle what is compared, and read the images.

    Raises ValueError when an arm cannot be had here, and when a synthetic set's generator saw a
    validation or test image, before anything is made; FileNotFoundError when there are no images.
    """
    workspace.all_rows()
    named = synthetic and workspace.find_run("synthesize", synthetic).name
    given = options | {"synthetic": named, "positive": positive, "view": view}
    start = prepare_run(workspace, "compare", ComparisonSettings, given, request)
    chosen_design = _settle_design(start.resumed, design)
    any_synthetic = any(arm.synthetic for arm in chosen_design.selected_arms())
    synthetic_set = generator = None
    if any_synthetic or start.settings.synthetic:
        synthetic_set = workspace.find_run("synthesize", start.settings.synthetic)
        generator = workspace.find_run(
            "gan-train", synthetic_set.config["generator"], holding="generator.pt"
        )
    workspace = choose_view(workspace, start.settings.view, synthetic_set)
    _check_arms(workspace, chosen_design, start.settings.config)
    classes = list_classes(workspace.rows())
    datasets = load_datasets(
        workspace,
        chosen_design,
        classes,
        synthetic_set.config["image_size"]
        if synthetic_set
        else choose_image_size(workspace, None, None),
        synthetic_set.config["labels"] if synthetic_set else classes,
        synthetic_set.config["n"] if synthetic_set else None,
    )
    if any(arm.fills_classes for arm in chosen_design.selected_arms()):
        datasets.check_fillable()
    wanted = []
    if any_synthetic and synthetic_set and generator:
        _check_given_set(workspace, synthetic_set, classes)
        wanted = wanted_generators(generator, chosen_design.shares(), chosen_design.generators)
    comparison = Comparison(
        workspace=workspace,
        start=start,
        design=chosen_design,
        positive=choose_positive_class(classes, start.settings.positive),
        datasets=datasets,
        synthetic_set=synthetic_set,
        generator=generator,
        wanted=wanted,
        trials=chosen_design.trials(start.settings.config.seed),
    )
    for share in {missing.share: None for missing in comparison.missing}:
        check_enough_images(datasets.views[share], share, classes)
    return comparison


def _check_given_set(workspace: Workspace, synthetic_set: Run, classes: list[str]) -> None:
    """Raise ValueError unless the set may be added to the study's own training split."""
    added = read_synthetic(synthetic_set.folder)
    splits = load_splits(workspace, added.image_size, classes)
    load_synthetic_split(added, splits, workspace.rows(), classes)


def _settle_design(resumed: Run | None, given: dict[str, Any]) -> Design:
    """The design that was asked for, or the resumed run's own when that does not differ."""
    if resumed is None:
        return Design.from_options(**given)
    saved = Design.from_record(resumed.config["design"])
    changed = saved.changes(given)
    if changed:
        raise ValueError(
            f"{resumed.name} cannot go on with another design ({', '.join(changed)}); start a new "
            "comparison without --resume"
        )
    return saved


def _check_arms(workspace: Workspace, design: Design, config: ClassifierConfig) -> None:
    """Raise OptionError when an arm cannot be had with this classifier or these images."""
    arms = design.selected_arms()
    balancing = [arm.name for arm in arms if arm.balance != "none"]
    if config.arch == "svm" and (
        balancing or any(arm.classical or arm.reals == "after" for arm in arms)
    ):
        raise OptionError(
            "arch",
            "svm",
            "is fitted once to the images as they are; choose `arms` without classical "
            "augmentation, without weights and oversampling and without gan-pretrain",
        )
    if balancing and config.balance != "none":
        raise OptionError(
            "balance",
            config.balance,
            f"all arms would balance classes, and {balancing[0]} be no arm of its own; leave out "
            "one of the two",
        )
    if config.synthetic_share is not None and not any(arm.mixes_synthetic for arm in arms):
        raise OptionError(
            "synthetic_share",
            config.synthetic_share,
            "none of these arms mixes synthetic images with reals; add real+gan to `arms`",
        )
    if not any(arm.added == "oracle" for arm in arms):
        return
    if workspace.view != WHOLE or not phantom_seeds(workspace.rows()):
        raise OptionError(
            "arms",
            "real+oracle",
            "only whole phantoms have an oracle, which draws fresh true images; leave it out, or "
            "try it on a study of: cxr data phantom",
        )
