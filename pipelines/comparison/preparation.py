"""A comparison before anything of it is trained: what is compared, and with which images."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

from classifier.config import ClassifierConfig
from pipelines.comparison.compared_sets import (
    ComparedSet,
    added_labels,
    check_alike,
    check_design,
    check_given_sets,
    find_sets,
    sets_text,
)
from pipelines.comparison.datasets import Datasets, load_datasets, phantom_seeds
from pipelines.comparison.design import Design, Trial
from pipelines.comparison.replicates import (
    WantedGenerator,
    check_enough_images,
    find_generator,
)
from pipelines.comparison.summary import count_images
from pipelines.results.comparison_summary import Plan
from pipelines.study.labels import (
    choose_image_size,
    choose_positive_class,
    list_classes,
)
from pipelines.study.runs import RunRequest, RunStart, prepare_run
from pipelines.study.view_names import WHOLE
from pipelines.study.views import choose_view
from pipelines.study.workspace import Workspace
from runtime.options import OptionError
from runtime.run import Run


@dataclass(frozen=True, kw_only=True)
class ComparisonSettings:
    """What `cxr compare` was asked for, beside its design."""

    config: ClassifierConfig  # of every classifier; its seed is the first of consecutive ones
    synthetic: str | None = None  # the sets, see `find_sets`; the newest one when None
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
    sets: list[ComparedSet]  # that all further ones are made like; none where no arm has any
    wanted: list[tuple[ComparedSet, WantedGenerator]]
    trials: list[Trial]

    @property
    def config(self) -> ClassifierConfig:
        return self.start.settings.config

    @property
    def classes(self) -> list[str]:
        return self.datasets.classes

    @cached_property
    def missing(self) -> list[tuple[ComparedSet, WantedGenerator]]:
        """The generators that were still to be trained when this was first asked."""
        return [
            (own, wanted)
            for own, wanted in self.wanted
            if find_generator(self.workspace, own.first, wanted) is None
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
    named = synthetic and sets_text(find_sets(workspace, synthetic))
    given = options | {"synthetic": named, "positive": positive, "view": view}
    start = prepare_run(workspace, "compare", ComparisonSettings, given, request)
    chosen_design = _settle_design(start.resumed, design)
    any_synthetic = any(arm.synthetic for arm in chosen_design.selected_arms())
    sets: list[ComparedSet] = []
    if any_synthetic or start.settings.synthetic:
        sets = find_sets(workspace, start.settings.synthetic)
        check_alike(sets)
        chosen_design = replace(chosen_design, sets=tuple(own.name for own in sets))
    workspace = choose_view(workspace, start.settings.view, sets[0].run if sets else None)
    _check_arms(workspace, chosen_design, start.settings.config)
    classes = list_classes(workspace.rows())
    datasets = load_datasets(
        workspace,
        chosen_design,
        classes,
        sets[0].run.config["image_size"] if sets else choose_image_size(workspace, None, None),
        added_labels(sets) if sets else classes,
        _set_size(sets),
    )
    if any(arm.fills_classes for arm in chosen_design.selected_arms()):
        datasets.check_fillable()
    wanted = []
    if any_synthetic:
        check_given_sets(workspace, sets, classes)
        check_design(sets, chosen_design, datasets)
        wanted = [(own, wanted) for own in sets for wanted in own.wanted(chosen_design)]
    comparison = Comparison(
        workspace=workspace,
        start=start,
        design=chosen_design,
        positive=choose_positive_class(classes, start.settings.positive),
        datasets=datasets,
        sets=sets,
        wanted=wanted,
        trials=chosen_design.trials(start.settings.config.seed),
    )
    for share in {missing.share: None for _, missing in comparison.missing}:
        check_enough_images(datasets.views[share], share, classes)
    return comparison


def _set_size(sets: Sequence[ComparedSet]) -> int | None:
    """Return how many images are added where no ratio says it; None without a set."""
    if len(sets) == 1:
        size: int = sets[0].run.config["n"]
        return size
    return len(added_labels(sets)) if sets else None


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
    for arm in arms:
        arm.configure(config)  # refuses a recipe that cannot be
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
    if config.mixing_options and not any(arm.mixes_synthetic for arm in arms):
        name = config.mixing_options[0]
        raise OptionError(
            name,
            getattr(config, name),
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
