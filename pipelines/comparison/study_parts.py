"""The comparisons that a preregistered study is made of, and what of them is there already.

Each view has a first generator and a first synthetic set, of all reals; every comparison makes its
own ones like them, in replicates/, where comparisons of other architectures find them again.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from classifier.config import ClassifierConfig
from pipelines.comparison.datasets import load_datasets
from pipelines.comparison.design import Design
from pipelines.comparison.preparation import Comparison, ComparisonSettings
from pipelines.comparison.preregistration import Preregistration
from pipelines.comparison.replicates import (
    WantedGenerator,
    check_enough_images,
    finished,
    finished_generator,
    unfinished,
)
from pipelines.study.fractions import RealFraction
from pipelines.study.labels import choose_positive_class, list_classes
from pipelines.study.runs import RunRequest, prepare_run, settings_record
from pipelines.study.shares import RealShare
from pipelines.study.workspace import Workspace
from runtime.device import Compute
from runtime.run import Run


@dataclass(frozen=True, kw_only=True)
class StudyPart:
    """One comparison of a study: of one view, architecture and fraction of the reals.

    Attributes:
        workspace: The study's folder in that view.
        trunk_sha256: Of the architecture's pretrained weights; None where it has none.
    """

    workspace: Workspace
    plan: Preregistration
    view: str
    arch: str
    fraction: RealFraction
    trunk_sha256: str | None = None

    @property
    def design_options(self) -> Mapping[str, Any]:
        """The arguments of `Design.from_options`."""
        return self.plan.study.of_fraction(self.fraction)

    @property
    def design(self) -> Design:
        return Design.from_options(**self.design_options)

    @property
    def config(self) -> ClassifierConfig:
        return self.plan.classifier_config(self.arch)

    @property
    def name(self) -> str:
        """As messages have it: whole, cnn, at 0.1."""
        return f"{self.view}, {self.arch}, at {self.fraction}"

    def record(self) -> Mapping[str, Any]:
        """Return what config.json of the comparison holds of it, but for its synthetic set."""
        return {
            **settings_record(self.config),
            "design": self.design.record(),
            "view": self.view,
            "data": self.workspace.fingerprint(),
            "trunk_sha256": self.trunk_sha256,
        }

    def find(self, compute: Compute) -> tuple[Run | None, Run | None]:
        """Find the finished run of this comparison, and else one that was begun."""
        wanted = self._of_newest_set()
        if wanted is None:
            return None, None
        complete = finished(self.workspace, "compare", wanted)
        begun = None if complete else unfinished(self.workspace, "compare", wanted, compute)
        return complete, begun

    def _of_newest_set(self) -> Mapping[str, Any] | None:
        """Return the record with its synthetic set; None where there is no set yet."""
        own = find_first_set(self.workspace, self.plan)
        return {**self.record(), "synthetic": own.name} if own else None

    def prepare(self, compute: Compute) -> Comparison:
        """Read the images of the comparison, before there is any generator.

        Raises OptionError or ValueError when it cannot be made: no lungs, too few images.
        """
        _, begun = self.find(compute)
        request = RunRequest.of(begun, compute)
        start = prepare_run(
            self.workspace, "compare", ComparisonSettings, asdict(self.config), request
        )
        classes, design = list_classes(self.workspace.rows()), self.design
        datasets = load_datasets(
            self.workspace,
            design,
            classes,
            self.plan.gan_config().image_size,
            classes,
            self.plan.synthesis().n,
        )
        for share in (RealShare(), *datasets.views):
            check_enough_images(share.rows(self.workspace), share, classes)
        return Comparison(
            workspace=self.workspace,
            start=start,
            design=design,
            positive=choose_positive_class(classes),
            datasets=datasets,
            sets=[],
            wanted=[],
            trials=design.trials(self.config.seed),
        )

    def wanted_generators(self) -> list[WantedGenerator]:
        """List the generators of the comparison."""
        seed = self.plan.gan_config().seed
        return [
            WantedGenerator(share, number, seed + number)
            for share in self.design.shares()
            for number in range(self.plan.study.generators)
        ]

    def count_missing_generators(self) -> int:
        """Count those of them that are still to be trained."""
        recipe = gan_record(self.plan)
        return sum(
            finished_generator(self.workspace, {**recipe, "seed": own.seed}, own.share) is None
            for own in self.wanted_generators()
        )


def list_parts(
    workspace: Workspace, plan: Preregistration, trunks: Mapping[str, str | None]
) -> list[StudyPart]:
    """List the comparisons of a study, those of its question first.

    trunks: The hash of each architecture's pretrained weights.
    """
    question = plan.question
    parts = [
        StudyPart(
            workspace=workspace.in_view(view),
            plan=plan,
            view=view,
            arch=arch,
            fraction=fraction,
            trunk_sha256=trunks.get(arch),
        )
        for view in plan.study.views
        for arch in plan.study.archs
        for fraction in plan.study.fractions
    ]
    return sorted(
        parts,
        key=lambda part: (
            part.view != question.view,
            part.arch != question.arch,
            part.fraction not in question.fractions,
        ),
    )


def gan_record(plan: Preregistration) -> Mapping[str, Any]:
    """Return all options of a study's first generators, as config.json holds them."""
    return settings_record(plan.gan_config())


def find_first_generator(workspace: Workspace, plan: Preregistration) -> Run | None:
    """Find the finished first generator of a view."""
    return finished_generator(workspace, gan_record(plan), RealShare())


def find_first_set(workspace: Workspace, plan: Preregistration) -> Run | None:
    """Find the finished first synthetic set of a view."""
    generator = find_first_generator(workspace, plan)
    if generator is None:
        return None
    options = set_options(workspace, plan, generator)
    return finished(workspace, "synthesize", {**options, "labels": generator.config["classes"]})


def set_options(workspace: Workspace, plan: Preregistration, generator: Run) -> Mapping[str, Any]:
    """Return the arguments of `synthesize` for a first synthetic set."""
    record = settings_record(plan.synthesis())
    del record["labels"]
    return record | {"generator": workspace.name_of(generator)}
