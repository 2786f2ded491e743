"""The shortcut audit: can a classifier do without what it should look at?

Two questions, and they are not the same. Shown altered images, a classifier that was trained on
whole ones tells how robust it is. A classifier of the same configuration trained anew on images
altered alike tells how much about the class is still in them, lungs or no lungs (Maguolo & Nanni
2020; DeGrave et al. 2021). The second is the audit; the first stands next to it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch

from classifier.alterations import ALTERATIONS, WHOLE, Alteration, lung_template
from classifier.config import ClassifierConfig
from classifier.features import FeatureStore
from classifier.metrics import evaluate
from classifier.predict import TrainedClassifier, load_classifier, predict
from classifier.pretrained import Trunk, load_trunk
from classifier.weights import weights_hash
from pipelines.evaluation.audit_warnings import (
    CLOSE_RULE,
    CLOSE_SHARE,
    warn_of_skill,
    warn_of_sources,
)
from pipelines.evaluation.lung_heat import measure_lung_heat
from pipelines.evaluation.retraining import Retraining
from pipelines.evaluation.source_audit import AuditedAnswers, audit_sources
from pipelines.figures.audit_figure import draw_audit
from pipelines.results.audit_result import (
    AlterationResult,
    AuditResult,
    ImageCount,
    LungHeat,
    Skill,
    SourceAudit,
)
from pipelines.study import view_names
from pipelines.study.intended_use import INTENDED_USE
from pipelines.study.labels import choose_positive_class
from pipelines.study.lungs import read_lungs
from pipelines.study.manifest import EXTERNAL, SPLITS
from pipelines.study.runs import RunRequest, prepare_run
from pipelines.study.split import Split, load_splits
from pipelines.study.views import in_view_of, read_lung_shares, view_facts
from pipelines.study.workspace import Workspace
from runtime.files import sha256_of
from runtime.options import OptionError
from runtime.run import Run

LEFT_OUT = {  # alterations that change nothing in a view, or leave nothing
    view_names.WHOLE: frozenset[str](),
    view_names.LUNG_BOX: frozenset({"box-only"}),
    view_names.LUNGS: frozenset({"box-only", "lungs-only", "lungs-masked"}),
}


@dataclass(frozen=True, kw_only=True)
class AuditSettings:
    """What `cxr audit` was asked for."""

    classifier: str | None = None  # the classify-train run; the newest finished one when None
    steps: int | None = None  # of each classifier that is trained anew; the run's own when None


@dataclass(frozen=True)
class _Audit:
    """An audit that has begun.

    Attributes:
        run: Of the audit.
        workspace: The study in the classifier's view.
        source: The classify-train run that is audited.
        trained: Its classifier.
        positive: The class that the ROC AUC is of.
        retraining: How those on altered images are trained.
    """

    run: Run
    workspace: Workspace
    source: Run
    trained: TrainedClassifier
    positive: str
    retraining: Retraining

    @property
    def classes(self) -> list[str]:
        return list(self.trained.classes)

    @property
    def retrains_whole_images(self) -> bool:
        """Whether the audited classifier is no match for those that the audit trains.

        It saw synthetic images, or had other steps: then whole images get a new one as well.
        """
        return (
            self.source.config["synthetic"] is not None
            or self.retraining.config.steps != self.trained.config.steps
        )


def audit(
    workspace: Workspace,
    request: RunRequest,
    *,
    run_name: str | None = None,
    steps: int | None = None,
    weights: Path | None = None,
) -> tuple[Run, AuditResult]:
    """Audit a trained classifier on the test split; write audit.json and audit.png into a new run.

    Only real images are trained on. A resumed audit keeps the classifiers that are finished.

    run_name: the classify-train run, the newest finished one when None. steps: of the classifiers
    trained anew, the run's own when None. weights: the pretrained weights that the run began with,
    needed where it trained stages of them. Returns the finished run and what it found.
    """
    begun = _begin(workspace, request, run_name, steps, weights)
    workspace = begun.workspace
    every = load_splits(workspace, begun.trained.image_size, begun.classes)
    splits = {name: _Pictures(every[name], _find_lungs(workspace, every[name])) for name in SPLITS}
    alterations = list_alterations(workspace)
    results = _audit_alterations(begun, splits, alterations)
    held_out = every["test"].join(every[EXTERNAL]) if EXTERNAL in every else every["test"]
    compute = begun.retraining.compute
    probabilities = predict(begun.trained, held_out.pixels(), compute)
    sources = audit_sources(
        workspace.rows(),
        {name: every[name] for name in SPLITS},
        begun.retraining,
        AuditedAnswers(held_out, probabilities, begun.classes.index(begun.positive)),
    )
    of_test = probabilities[: len(every["test"].labels)]
    heat = measure_lung_heat(workspace, begun.trained, every["test"], of_test, compute)
    result = _summarise(begun, every["test"], results, sources, heat)
    result.save(begun.run)
    _draw(result, splits["test"], alterations, begun.run.folder / "audit.png")
    begun.run.finish({"classifier": begun.source.name, "warnings": len(result.warnings)})
    return begun.run, result


def _begin(
    workspace: Workspace,
    request: RunRequest,
    run_name: str | None,
    steps: int | None,
    weights: Path | None,
) -> _Audit:
    """Load the classifier to audit, and open the run of its audit, new or resumed."""
    named = run_name and workspace.find_run("classify-train", run_name, holding="classifier.pt")
    given = {"classifier": named and named.name, "steps": steps}
    start = prepare_run(workspace, "audit", AuditSettings, given, request)
    settings, compute = start.settings, start.compute
    source = workspace.find_run(
        "classify-train",
        settings.classifier,
        holding="classifier.pt" if settings.classifier else "result.json",
    )
    workspace = in_view_of(workspace, source)
    trained = load_classifier(source.folder / "classifier.pt", compute.device)
    config = _with_steps(trained.config, settings.steps)
    data = workspace.fingerprint()
    if source.config["data"] != data:
        raise ValueError(
            f"the study's images have changed since {source.name}, which may have been trained on "
            "what is a test image now; train another with: cxr classify-train"
        )
    trunk = _starting_trunk(source, trained, weights)
    if workspace.has_lungs:
        read_lungs(workspace.data, workspace.all_rows())  # refused before a run is begun
    run = start.begin(
        {
            "classifier": source.name,
            "classifier_sha256": sha256_of(source.folder / "classifier.pt"),
            "steps": config.steps,
            "data": data,
            **view_facts(workspace),
        }
    )
    return _Audit(
        run=run,
        workspace=workspace,
        source=source,
        trained=trained,
        positive=choose_positive_class(list(trained.classes), source.config["positive"]),
        retraining=Retraining(run.folder / "classifiers", config, trunk, compute),
    )


def _with_steps(config: ClassifierConfig, steps: int | None) -> ClassifierConfig:
    if steps in (None, config.steps):
        return config
    if config.arch == "svm":
        raise OptionError("steps", steps, "an svm has none; leave it out")
    return replace(config, steps=steps)


def _starting_trunk(source: Run, trained: TrainedClassifier, weights: Path | None) -> Trunk | None:
    """Return the pretrained trunk to begin with again, None where the classifier had none.

    It is the frozen one of the classifier itself, or where stages of it were trained the one in
    `weights`.
    """
    trunk = trained.network.trunk
    if isinstance(trunk, Trunk):
        return trunk
    if not trained.config.unfreeze:
        return None
    trunk = load_trunk(trained.config.arch, weights)
    if weights_hash(trunk) != source.config["trunk_sha256"]:
        raise OptionError(
            "weights",
            weights,
            f"not the weights that {source.name} began with; it trained stages of them, so the "
            "audit begins with them too",
        )
    return trunk


@dataclass(frozen=True)
class _Pictures:
    """The images of a split, and where their lungs are: bool (N, 1, S, S); None if not known."""

    split: Split
    lungs: torch.Tensor | None

    def alter(self, alteration: Alteration) -> Split:
        altered = alteration(self.split.pixels(), self.lungs)
        return replace(self.split, images=altered.squeeze(1).numpy())


def list_alterations(workspace: Workspace) -> list[Alteration]:
    """Return the alterations that can be made of a study in its view, and change something there.

    Those by masks need the study's lungs, see `cxr data lungs`.
    """
    absent = LEFT_OUT[workspace.view]
    if not workspace.has_lungs:
        absent |= {alteration.name for alteration in ALTERATIONS if alteration.by_mask}
    return [alteration for alteration in ALTERATIONS if alteration.name not in absent]


def _find_lungs(workspace: Workspace, split: Split) -> torch.Tensor | None:
    """Read where the lungs are; where none was found in an image, they lie under the template."""
    if not workspace.has_lungs:
        return None
    rows = {row.file_name: row for row in workspace.rows()}
    size = split.images.shape[1]
    shares = read_lung_shares(workspace, [rows[name] for name in split.file_names], size)
    lungs = torch.from_numpy(shares > 0).unsqueeze(1)  # (N, 1, S, S)
    is_found = lungs.flatten(1).any(dim=1)
    return torch.where(is_found[:, None, None, None], lungs, lung_template(size))


def _audit_alterations(
    begun: _Audit, splits: Mapping[str, _Pictures], alterations: Sequence[Alteration]
) -> list[AlterationResult]:
    """Measure what is left of the skill under each alteration, whole images first."""
    results = [_audit_alteration(begun, splits, alteration) for alteration in alterations]
    intact = results[0].retrained or results[0].as_it_is
    return [
        replace(result, retained_auc=retained_auc(intact, result.retrained)) for result in results
    ]


def _audit_alteration(
    begun: _Audit, splits: Mapping[str, _Pictures], alteration: Alteration
) -> AlterationResult:
    """Show the audited classifier altered test images, and train another on images altered so."""
    test = splits["test"].alter(alteration)
    # A frozen trunk looks once at each altered test image, for both classifiers.
    store = FeatureStore()
    as_it_is = evaluate(
        test.labels,
        predict(begun.trained, test.pixels(), begun.retraining.compute, store),
        begun.classes,
        begun.positive,
        test.patients,
    )
    retrained = None
    if alteration.retrained or (alteration is WHOLE and begun.retrains_whole_images):
        measures = begun.retraining.test_measures(
            alteration.name,
            {name: pictures.alter(alteration) for name, pictures in splits.items()},
            classes=begun.classes,
            positive=begun.positive,
            what=f"trained on: {alteration.title}",
            store=store,
        )
        retrained = Skill.of(measures)
    return AlterationResult(
        name=alteration.name,
        title=alteration.title,
        as_it_is=Skill.of(as_it_is.measures),
        retrained=retrained,
        retained_auc=None,
    )


def retained_auc(intact: Skill, altered: Skill | None) -> float | None:
    """Return the share of the AUC above chance that survives the alteration.

    None where there is no classifier of such images, or where the AUC on intact images may be
    chance.
    """
    if altered is None or intact.roc_auc.low <= 0.5:
        return None
    return (altered.roc_auc.value - 0.5) / (intact.roc_auc.value - 0.5)


def _summarise(
    begun: _Audit,
    test: Split,
    alterations: Sequence[AlterationResult],
    sources: SourceAudit,
    lung_heat: LungHeat | None,
) -> AuditResult:
    intact = alterations[0].retrained or alterations[0].as_it_is
    may_be_chance = intact.roc_auc.low <= 0.5
    caution = begun.source.config.get("caution")
    return AuditResult(
        classifier=begun.source.name,
        config=begun.retraining.config,
        image_size=begun.trained.image_size,
        view=begun.workspace.view,
        classes=tuple(begun.classes),
        positive=begun.positive,
        synthetic_in_training=begun.source.config["synthetic"],
        test=ImageCount(len(test.labels), len(set(test.patients))),
        alterations=tuple(alterations),
        sources=sources,
        lung_heat=lung_heat,
        rule=CLOSE_RULE,
        close_from=None if may_be_chance else 0.5 + CLOSE_SHARE * (intact.roc_auc.value - 0.5),
        warnings=(
            *([caution] if caution else []),
            *warn_of_skill(intact, alterations),
            *warn_of_sources(sources),
        ),
        intended_use=INTENDED_USE,
    )


def _draw(
    result: AuditResult, test: _Pictures, alterations: Sequence[Alteration], path: Path
) -> None:
    """Draw the figure; its examples are the first test image of the positive and another class."""
    other = next(name for name in result.classes if name != result.positive)
    places = [
        np.flatnonzero(test.split.labels == result.classes.index(name))[0]
        for name in (result.positive, other)
    ]
    lungs = None if test.lungs is None else test.lungs[places]
    examples = _Pictures(test.split.take(places), lungs)
    draw_audit(result, [examples.alter(alteration).images for alteration in alterations], path)
