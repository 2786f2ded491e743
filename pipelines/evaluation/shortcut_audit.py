"""The shortcut audit: how well the classes are told apart when what a classifier should look at is taken away.

Two questions, and they are not the same. Shown altered images, a classifier that was trained on whole ones tells how robust it is. A classifier of the
same configuration trained anew on images altered alike tells how much about the class is still in them, lungs or no lungs (Maguolo & Nanni 2020; DeGrave et al.
2021). The second is the audit; the first stands beside it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from classifier.alterations import ALTERATIONS, WHOLE, Alteration
from classifier.config import ClassifierConfig
from classifier.features import FeatureStore
from classifier.metrics import evaluate
from classifier.predict import TrainedClassifier, load_classifier, predict
from classifier.pretrained import Trunk, load_trunk, weights_hash
from pipelines.figures.audit_figure import audit_figure
from pipelines.study.intended_use import INTENDED_USE
from pipelines.study.labels import positive_class
from pipelines.study.manifest import SPLITS, Row, study_fingerprint
from pipelines.study.synthetic import Split, real_splits
from pipelines.study.workspace import Workspace
from pipelines.training.classifier import train_once
from runtime.device import Compute
from runtime.files import read_json, sha256_of, write_json
from runtime.run import Run

KEPT = 0.8  # share of what the whole images' AUC has above one half, from which on an AUC without lungs is close to it
SHOWN = ("accuracy", "roc_auc")
FEW = {"train": 5, "validation": 2, "test": 2}  # images of a source, below which it is left out
RULE = f"close: a ROC AUC without lungs of at least 0.5 + {KEPT} · (that of the whole images − 0.5), both intervals above 0.5"


def audit(
    workspace: Workspace,
    compute: Compute,
    *,
    run_name: str | None = None,
    steps: int | None = None,
    weights: Path | None = None,
    resume_name: str | None = None,
    resuming: bool = False,
) -> tuple[Run, dict[str, Any]]:
    """Audit a trained classifier on the test split; writes audit.json and audit.png into a new run.

    run_name: the classify-train run, the newest finished one when None. steps: of the classifiers trained anew, the run's own when None.
    weights: the pretrained weights that the run began with, needed where it trained stages of them. Only real images are trained on.
    A resumed audit keeps the classifiers that are finished. Returns the finished run and what audit.json says.
    """
    resumed = workspace.unfinished_run("audit", resume_name) if resuming else None
    if resumed:
        saved = resumed.config
        run_name, steps = (
            run_name or saved["classifier"],
            saved["steps"] if steps is None else steps,
        )
    source = workspace.find_run(
        "classify-train", run_name, holding="classifier.pt" if run_name else "result.json"
    )
    trained = load_classifier(source.folder / "classifier.pt", compute.device)
    config, classes, rows = _config(trained.config, steps), list(trained.classes), workspace.rows()
    data = study_fingerprint(rows)
    if source.config["data"] != data:
        raise ValueError(
            f"the study's images have changed since {source.name}, which may have been trained on what is a test image now; train another with: cxr classify-train"
        )
    trunk = _trunk(source, trained, weights)
    record = {
        "classifier": source.name,
        "classifier_sha256": sha256_of(source.folder / "classifier.pt"),
        "steps": config.steps,
        "data": data,
        "compute": str(compute),
    }
    run = workspace.open_run("audit", record, resumed)
    splits = {
        name: split
        for name, split in real_splits(workspace, trained.image_size, classes).items()
        if name in SPLITS
    }
    test, study = splits["test"], {"compute": compute, "trunk": trunk}
    positive = positive_class(classes, source.config["positive"])

    # A classifier that saw synthetic images too, or had other steps, is no match for those trained anew: then whole images get one as well.
    again = source.config["synthetic"] is not None or config.steps != trained.config.steps
    lines = []
    for alteration in ALTERATIONS:
        store = (
            FeatureStore()
        )  # a frozen trunk looks once at each altered test image, for both classifiers
        shown = evaluate(
            test.labels,
            predict(trained, _tensor(_altered(test, alteration)), compute, store),
            classes,
            positive,
            test.patients,
        )
        line = {
            "name": alteration.name,
            "title": alteration.title,
            "as_it_is": {name: asdict(shown.measures[name]) for name in SHOWN},
            "retrained": None,
        }
        if alteration.retrained or (alteration is WHOLE and again):
            own = {name: _altered(split, alteration) for name, split in splits.items()}
            measures = _trained(
                run,
                alteration.name,
                config,
                own,
                classes=classes,
                positive=positive,
                store=store,
                what=f"trained on: {alteration.title}",
                **study,
            )
            line["retrained"] = {name: measures[name] for name in SHOWN}
        lines.append(line)
    full = lines[0]["retrained"] or lines[0]["as_it_is"]
    for line in lines:
        line["kept"] = _kept(full, line["retrained"])
    sources = _sources(run, rows, splits, config, study)
    result = {
        "classifier": source.name,
        "config": asdict(config),
        "image_size": trained.image_size,
        "classes": classes,
        "positive": positive,
        "synthetic_in_training": source.config["synthetic"],
        "test": {"images": len(test.labels), "patients": len(set(test.patients))},
        "alterations": lines,
        "sources": sources,
        "rule": RULE,
        "close_from": 0.5 + KEPT * (full["roc_auc"]["value"] - 0.5)
        if full["roc_auc"]["interval"][0] > 0.5
        else None,
        "warnings": _warnings(full, lines, sources),
        "intended_use": INTENDED_USE,
    }
    write_json(run.folder / "audit.json", result)
    others = [index for index in range(len(classes)) if classes[index] != positive]
    examples = [
        np.flatnonzero(test.labels == index)[0] for index in (classes.index(positive), others[0])
    ]
    audit_figure(
        result,
        [_altered(test, alteration).images[examples] for alteration in ALTERATIONS],
        run.folder / "audit.png",
    )
    run.finish({"classifier": source.name, "warnings": len(result["warnings"])})
    return run, result


def _config(config: ClassifierConfig, steps: int | None) -> ClassifierConfig:
    if steps in (None, config.steps):
        return config
    if config.arch == "svm":
        raise ValueError(f"--steps {steps}: an svm has none; leave it out")
    return replace(config, steps=steps)


def _trunk(source: Run, trained: TrainedClassifier, weights: Path | None) -> nn.Module | None:
    """The pretrained trunk to begin with again: the frozen one of the classifier itself, or where stages of it were trained the one in `weights`."""
    trunk = trained.network.trunk
    if isinstance(trunk, Trunk):
        return trunk
    if not trained.config.unfreeze:
        return None
    trunk = load_trunk(trained.config.arch, weights)
    if weights_hash(trunk) != source.config["trunk_sha256"]:
        raise ValueError(
            f"--weights {weights}: not the weights that {source.name} began with; it trained stages of them, so the audit begins with them too"
        )
    return trunk


def _tensor(split: Split) -> torch.Tensor:
    return split.dataset().tensors[0]


def _altered(split: Split, alteration: Alteration) -> Split:
    return replace(split, images=alteration(_tensor(split)).squeeze(1).numpy())


def _trained(
    run: Run, name: str, config: ClassifierConfig, splits: dict[str, Split], **study: Any
) -> dict[str, Any]:
    """Test measures of a classifier trained now, or read where it is finished already."""
    return read_json(
        train_once(run.folder / "classifiers" / name, config, splits, **study).folder
        / "metrics.json"
    )["measures"]


def _kept(full: dict[str, Any], measures: dict[str, Any] | None) -> float | None:
    """What an AUC has above one half, as a share of what the whole images' has; None where either is missing or may be chance."""
    if measures is None or full["roc_auc"]["interval"][0] <= 0.5:
        return None
    return (measures["roc_auc"]["value"] - 0.5) / (full["roc_auc"]["value"] - 0.5)


def _sources(
    run: Run,
    rows: Sequence[Row],
    splits: dict[str, Split],
    config: ClassifierConfig,
    study: dict[str, Any],
) -> dict[str, Any]:
    """Of each label with several sources, how well a classifier tells them apart: the label being the same, nothing of it can help."""
    source_of = {row.file_name: row.source for row in rows}
    label_of = {row.file_name: row.label for row in rows}
    counts = {
        label: dict(
            Counter(row.source for row in rows if row.label == label and row.split in SPLITS)
        )
        for label in sorted(set(label_of.values()))
    }
    predicted = []
    for label, found in counts.items():
        mine = {
            name: [
                index
                for index, file_name in enumerate(split.file_names)
                if label_of[file_name] == label
            ]
            for name, split in splits.items()
        }
        there = {
            name: Counter(source_of[splits[name].file_names[index]] for index in chosen)
            for name, chosen in mine.items()
        }
        usable = [
            source
            for source in sorted(found)
            if all(there[name][source] >= least for name, least in FEW.items())
        ]
        if len(usable) < 2:
            continue
        parts = {}
        for name, chosen in mine.items():
            kept = [
                index for index in chosen if source_of[splits[name].file_names[index]] in usable
            ]
            part = splits[name].part(kept)
            parts[name] = replace(
                part,
                labels=np.array(
                    [usable.index(source_of[file_name]) for file_name in part.file_names], np.int64
                ),
            )
        measures = _trained(
            run,
            f"source-of-{label}",
            config,
            parts,
            classes=usable,
            positive=usable[0],
            what=f"source of {label}",
            **study,
        )
        predicted.append(
            {
                "label": label,
                "sources": usable,
                "test_images": len(parts["test"].labels),
                "chance": 1 / len(usable),
                "balanced_accuracy": measures["balanced_accuracy"],
                "roc_auc": measures["roc_auc"],
            }
        )
    return {
        "images": counts,
        "predicted": predicted,
        "sentence": _source_sentence(counts, predicted),
    }


def _source_sentence(counts: dict[str, dict[str, int]], predicted: Sequence[dict[str, Any]]) -> str:
    every = {source for found in counts.values() for source in found}
    if len(every) == 1:
        return f"all images come from one source, {every.pop()}: within this study it gives no label away"
    of_one = {label: next(iter(found)) for label, found in counts.items() if len(found) == 1}
    sentences = []
    if len(set(of_one.values())) > 1:
        which = ", ".join(f"{label} from {source}" for label, source in of_one.items())
        sentences.append(
            f"source and label are the same thing ({which}, and from nowhere else): no audit can tell them apart, and what tells the sources tells these labels; "
            "bring images of every label from every source, or an --external test set"
        )
    for one in predicted:
        low, high = one["balanced_accuracy"]["interval"]
        sentences.append(
            f"among {one['label']} images alone, the sources {', '.join(one['sources'])} are told apart with a balanced accuracy of "
            f"{100 * one['balanced_accuracy']['value']:.1f} % [{100 * low:.1f}, {100 * high:.1f}] (chance {100 * one['chance']:.0f} %)"
        )
    few = [
        label
        for label, found in counts.items()
        if len(found) > 1 and label not in {one["label"] for one in predicted}
    ]
    if few:
        sentences.append(
            f"{', '.join(few)}: too few images of a second source in some split to tell whether the sources differ"
        )
    return "; ".join(sentences)


def _warnings(
    full: dict[str, Any], lines: Sequence[dict[str, Any]], sources: dict[str, Any]
) -> list[str]:
    warnings = []
    if full["roc_auc"]["interval"][0] <= 0.5:
        warnings.append(
            f"on whole images the ROC AUC is {_interval(full['roc_auc'])}, perhaps no better than chance: there is nothing to audit"
        )
    for alteration, line in zip(ALTERATIONS, lines):
        anew, kept = line["retrained"], line["kept"]
        if (
            alteration.lungless
            and kept is not None
            and kept >= KEPT
            and anew["roc_auc"]["interval"][0] > 0.5
        ):
            warnings.append(
                f"{line['title']}: trained and tested so, a classifier reaches a ROC AUC of {_interval(anew['roc_auc'])}, {100 * kept:.0f} % of what the whole images' "
                f"{full['roc_auc']['value']:.3f} has above one half; much of what tells these classes apart lies outside of the lungs, so high figures on this study prove little"
            )
    leaky = [
        one["label"]
        for one in sources["predicted"]
        if one["balanced_accuracy"]["interval"][0] > one["chance"]
    ]
    if leaky:
        warnings.append(
            f"the sources of {', '.join(leaky)} can be told apart; where labels are mixed differently in them, that is a shortcut"
        )
    of_one = {next(iter(found)) for found in sources["images"].values() if len(found) == 1}
    if len(of_one) > 1:
        warnings.append("source and label are the same thing in this study, see above")
    return warnings


def _interval(measure: dict[str, Any]) -> str:
    low, high = measure["interval"]
    return f"{measure['value']:.3f} [{low:.3f}, {high:.3f}]"
