"""Whether a generator makes the class it is asked for.

A classifier that saw reals alone is asked what the synthetic images are. Over the classes asked
for, the shares of "as asked" add up to one, whatever the classifier prefers, when the generator
does not listen: their mean is then 1/K, and that is what the mean agreement is held against.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from classifier.bootstrap import percentile_interval, resampled_means
from classifier.predict import TrainedClassifier, load_classifier, predict
from pipelines.metrics.confidence_intervals import estimate_share
from pipelines.study.split import Split
from pipelines.study.view_names import WHOLE
from pipelines.study.views import view_of
from pipelines.study.workspace import Workspace
from runtime.device import Compute
from runtime.estimate import Estimate
from runtime.run import Run, list_runs

# Of what the classifier reaches on reals above chance, below which labels are heard badly.
HEARD_SHARE = 0.5
NORMAL_QUANTILE = 1.96


@dataclass(frozen=True)
class Answers:
    """Label indices of images (N,): what they were asked to be or are, and what they are called."""

    labels: np.ndarray
    called: np.ndarray


@dataclass(frozen=True)
class Agreement:
    """One class.

    Attributes:
        agreement: Of the synthetic images, the share called what was asked for; None of none.
        recall: Of the held-out reals, the share called what they are; interval over patients.
    """

    agreement: Estimate | None
    recall: Estimate


@dataclass(frozen=True, kw_only=True)
class LabelAudit:
    """What a classifier trained on reals says of the labels of synthetic images.

    Attributes:
        classifier: The name of the run that trained it.
        arch: What it is.
        classes: What it says of every class.
        chance: The mean agreement of a guess.
        mean_agreement: Over classes; None where not every class was asked for.
        mean_recall: Over classes.
        verdict, warnings: In plain words.
    """

    classifier: str
    arch: str
    classes: dict[str, Agreement]
    chance: float
    mean_agreement: Estimate | None
    mean_recall: Estimate
    verdict: str
    warnings: list[str]


def audit_labels(
    workspace: Workspace,
    synthetic: Split,
    held_out: Split,
    classes: Sequence[str],
    compute: Compute,
) -> LabelAudit:
    """Ask the newest classifier of this study that saw reals alone, at the size of the images.

    held_out: reals to see what the classifier is worth. Where they are the validation images, which
    chose its weights, it is worth a little less than they say. Raises FileNotFoundError that says
    how to make a classifier where there is none, ValueError when the reals lack a class.
    """
    absent = [name for index, name in enumerate(classes) if not (held_out.labels == index).any()]
    if absent:
        raise ValueError(
            f"no held-out image of {', '.join(absent)}, to see what the classifier is worth; "
            "import images of more patients"
        )
    size = synthetic.images.shape[1]
    run = _newest_classifier(workspace, size)
    trained = load_classifier(run.folder / "classifier.pt", compute.device)
    if trained.image_size != size or list(trained.classes) != list(classes):
        raise ValueError(
            f"{run.name} holds a classifier of other classes or another size than its config.json "
            f"says; train one anew: cxr classify-train --image-size {size}"
        )
    return judge_labels(
        run.name,
        trained.config.arch,
        classes,
        _ask(trained, synthetic, compute),
        _ask(trained, held_out, compute),
        held_out.patients,
    )


def judge_labels(
    classifier: str,
    arch: str,
    classes: Sequence[str],
    synthetic: Answers,
    reals: Answers,
    patients: Sequence[str],
) -> LabelAudit:
    """Judge what synthetic images were called by what they were asked to be, and reals alike.

    patients: of the reals.
    """
    by_class, resampled = {}, []
    for index, name in enumerate(classes):
        asked, real = synthetic.labels == index, reals.labels == index
        as_asked = int((synthetic.called[asked] == index).sum())
        means = resampled_means(
            ((reals.called == index) & real).astype(float), real.astype(float), patients
        )
        resampled.append(means)
        recall = float((reals.called[real] == index).mean())
        by_class[name] = Agreement(
            agreement=estimate_share(as_asked, int(asked.sum())) if asked.any() else None,
            recall=Estimate(recall, *percentile_interval(means), int(real.sum())),
        )
    chance = 1 / len(classes)
    mean_agreement = _mean_agreement([agreement.agreement for agreement in by_class.values()])
    mean_recall = Estimate(
        float(np.mean([agreement.recall.value for agreement in by_class.values()])),
        *percentile_interval(np.mean(resampled, axis=0)),
        len(reals.labels),
    )
    verdict, warnings = _judge(by_class, chance, mean_agreement, mean_recall)
    return LabelAudit(
        classifier=classifier,
        arch=arch,
        classes=by_class,
        chance=chance,
        mean_agreement=mean_agreement,
        mean_recall=mean_recall,
        verdict=verdict,
        warnings=warnings,
    )


def _newest_classifier(workspace: Workspace, size: int) -> Run:
    data = workspace.fingerprint()
    runs = [
        run
        for run in list_runs(workspace.runs)
        if run.command == "classify-train" and run.finished and run.config["synthetic"] is None
    ]
    fitting = [
        run for run in runs if run.config["image_size"] == size and run.config.get("data") == data
    ]
    if not fitting:
        why = (
            f"{runs[-1].name} is of other images, or of {runs[-1].config['image_size']} px, view "
            f"{view_of(runs[-1].config)}"
            if runs
            else "there is none yet"
        )
        raise FileNotFoundError(
            f"no classifier trained on this study's real images alone at {size} px ({why}); make "
            f"one with: cxr classify-train --image-size {size}"
            + ("" if workspace.view == WHOLE else f" --view {workspace.view}")
        )
    return fitting[-1]


def _ask(trained: TrainedClassifier, split: Split, compute: Compute) -> Answers:
    """Ask a classifier what the images of a split are."""
    images = split.to_dataset().tensors[0]  # (N, 1, S, S)
    return Answers(split.labels, predict(trained, images, compute).argmax(axis=1))


def _mean_agreement(agreements: Sequence[Estimate | None]) -> Estimate | None:
    """Take the mean over classes, None where a class was not asked for."""
    present = [agreement for agreement in agreements if agreement is not None]
    if len(present) < len(agreements):
        return None
    value = float(np.mean([share.value for share in present]))
    variance = 0.0
    for share in present:
        laplace = (share.value * share.n + 1) / (share.n + 2)  # so that 0 and 1 have a spread
        variance += laplace * (1 - laplace) / share.n
    reach = NORMAL_QUANTILE * float(np.sqrt(variance)) / len(present)
    n = sum(share.n for share in present)
    return Estimate(value, max(value - reach, 0.0), min(value + reach, 1.0), n)


def _judge(
    by_class: Mapping[str, Agreement],
    chance: float,
    agreement: Estimate | None,
    recall: Estimate,
) -> tuple[str, list[str]]:
    """Give a verdict in plain words, and warnings."""
    if recall.low <= chance:
        return "cannot tell: the classifier itself is no better than a guess on held-out reals", []
    if agreement is None:
        return (
            "cannot tell: not every class was asked for, and a generator that hears no label would "
            "please a classifier that prefers this one",
            [],
        )
    as_asked = (
        f"{100 * agreement.value:.0f} % of the synthetic images are called what they were asked to "
        f"be (mean over classes; {100 * chance:.0f} % would be a guess, held-out reals reach "
        f"{100 * recall.value:.0f} %)"
    )
    if agreement.low <= chance:
        return "labels are ignored", [
            f"the generator does not listen to its label: {as_asked}; images with such labels "
            "teach a classifier nothing but noise"
        ]
    if agreement.value - chance < HEARD_SHARE * (recall.value - chance):
        return "labels are heard badly", [f"the generator listens badly to its label: {as_asked}"]
    weak = _weak_classes(by_class, chance)
    if weak:
        return "labels are heard badly", [
            "few synthetic images are called the class that was asked for: " + ", ".join(weak)
        ]
    return "labels are heard", []


def _weak_classes(by_class: Mapping[str, Agreement], chance: float) -> list[str]:
    """Name the classes of which surely few synthetic images are called what was asked for."""
    weak = []
    for name, class_agreement in by_class.items():
        agreement, recall = class_agreement.agreement, class_agreement.recall
        least = chance + HEARD_SHARE * (recall.value - chance)
        if agreement is not None and agreement.high < least:
            weak.append(
                f"{name} ({100 * agreement.value:.0f} %, held-out reals {100 * recall.value:.0f} %)"
            )
    return weak
