"""The comparison: classifiers of several arms, each of them several times, with equal optimizer steps."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from classifier.config import ClassifierConfig
from classifier.features import FeatureStore
from classifier.pretrained import weights_hash
from classifier.train import train
from pipelines.comparison.arms import ARMS
from pipelines.comparison.datasets import Material, gather, phantom_seeds
from pipelines.comparison.design import Design, Trial
from pipelines.comparison.replicates import (
    find_generator,
    make_generators,
    synthetic_run,
    wanted_generators,
)
from pipelines.comparison.summary import Outcome, summarise
from pipelines.report.page import write_report
from pipelines.study.labels import check_every_class, positive_class, study_classes, study_size
from pipelines.study.manifest import study_fingerprint, table
from pipelines.study.synthetic import Split, read_synthetic, synthetic_split
from pipelines.study.workspace import Workspace, resume
from pipelines.training.classifier import pretrained_trunk, train_and_test
from runtime.device import Compute
from runtime.files import read_json, write_json, write_text
from runtime.randomness import numpy_generator
from runtime.run import Run

MEASURED = (
    "steps",
    "train_images",
    "synthetic_images",
    "accuracy",
    "sensitivity",
    "specificity",
    "roc_auc",
    "best_step",
    "seconds",
)
COLUMNS = ("arm", "fraction", "ratio", "generator", "draw", "seed", *MEASURED)


def compare(
    workspace: Workspace,
    options: dict[str, Any],
    compute: Compute,
    *,
    design: dict[str, Any],
    synthetic: str | None = None,
    weights: Path | None = None,
    positive: str | None = None,
    plan: bool = False,
    resume_name: str | None = None,
    resuming: bool = False,
) -> tuple[Run | None, dict[str, Any]]:
    """Train every arm with every replicate and write results.csv, summary.json, figures and report.html.

    options: the fields of ClassifierConfig that were asked for; `seed` is the first of consecutive classifier seeds. design: the arguments of `Design.of`.
    synthetic: the set of generator 0's draw 0, the newest when None; generators and sets that the design wants besides are made. plan: train nothing, and
    return no run, and what the study would be. Of several processes each trains its share of the classifiers, with the same results. A resumed comparison
    keeps the classifiers that are finished. Returns the finished run and its summary.
    """
    classes, rows = study_classes(workspace), workspace.rows()
    resumed = workspace.unfinished_run("compare", resume_name) if resuming else None
    if resumed:
        saved = resumed.config
        config, chosen = resume(resumed, ClassifierConfig, options), Design.saved(saved["design"])
        changed = chosen.differing(design)
        if changed:
            raise ValueError(
                f"{resumed.name} cannot go on with another design ({', '.join(changed)}); start a new comparison without --resume"
            )
        synthetic, positive = synthetic or saved["synthetic"], positive or saved["positive"]
    else:
        config, chosen = ClassifierConfig(**options), Design.of(**design)
    arms, positive = chosen.chosen(), positive_class(classes, positive)
    if config.arch == "svm" and any(arm.classical or arm.reals == "after" for arm in arms):
        raise ValueError(
            "--arch svm: is fitted once to the images as they are; choose --arms without classical augmentation and without gan-pretrain"
        )
    if any(arm.beside == "oracle" for arm in arms) and not phantom_seeds(rows):
        raise ValueError(
            "--arms real+oracle: only phantoms have an oracle, which draws fresh true images; leave it out, or try it on a study of: cxr data phantom"
        )
    like = (
        workspace.find_run("synthesize", synthetic)
        if synthetic or any(arm.synthetic for arm in arms)
        else None
    )
    first = like and workspace.find_run(
        "gan-train", like.config["generator"], holding="generator.pt"
    )
    size = like.config["image_size"] if like else study_size(workspace, None, None)
    material = gather(
        workspace,
        chosen,
        classes,
        size,
        like.config["labels"] if like else classes,
        like and like.config["n"],
    )
    check_every_class(material.splits, classes)
    if any(arm.synthetic for arm in arms):
        synthetic_split(
            workspace, material.splits, read_synthetic(like.folder), classes
        )  # raises on a leak, before anything is made
    wanted = (
        wanted_generators(first, chosen.fractions, chosen.generators)
        if any(arm.synthetic for arm in arms)
        else []
    )
    missing = [one for one in wanted if find_generator(workspace, first, one) is None]
    trials, test = chosen.trials(config.seed), material.splits["test"]
    planned = chosen.plan(len(set(test.patients))) | {
        "classifiers": len(trials),
        "test_images": len(test.labels),
    }
    if plan:
        return None, planned | {"generators_to_train": len(missing)}
    trunk = pretrained_trunk(config, weights)
    record = asdict(config) | {
        "design": chosen.record(),
        "synthetic": like.name if like else None,
        "positive": positive,
        "trunk_sha256": weights_hash(trunk) if trunk else None,
        "data": study_fingerprint(rows),
        "compute": str(compute),
    }
    run = Run(
        Path(
            compute.agree(
                str(workspace.open_run("compare", record, resumed).folder)
                if compute.is_main_process
                else ""
            )
        )
    )

    make_generators(workspace, first, missing, compute)
    generators = {
        (one.fraction, one.number): find_generator(workspace, first, one) for one in wanted
    }
    for (fraction, number), generator in generators.items():
        needed = max(material.count(fraction, ratio) for ratio in chosen.ratios)
        for draw in range(chosen.draws):
            made = (
                synthetic_run(workspace, like, generator, draw, needed, compute.alone()).folder
                if compute.is_main_process
                else None
            )
            material.sets[fraction, number, draw] = compute.agree(made)

    study = {
        "classes": classes,
        "positive": positive,
        "trunk": trunk,
        "store": FeatureStore(workspace.features),
    }
    order = (
        numpy_generator(0, "order").permutation(len(trials))
        if compute.world_size > 1
        else range(len(trials))
    )  # each process gets some of every arm
    for number in order[compute.rank :: compute.world_size]:
        trial = trials[number]
        if not _folder(run, trial).finished:
            training = material.training(trial)
            configs = configs_of(
                trial, config, chosen, training, len(material.reals[trial.fraction].labels)
            )
            _train(
                _folder(run, trial),
                configs,
                training,
                material,
                compute.alone(),
                f"{number + 1}/{len(trials)} {trial.name}",
                study,
            )
            if compute.is_main_process:
                _write_results(run, trials)
    compute.agree(None)
    if compute.is_main_process:
        rows_of = _write_results(run, trials)
        outcomes = [
            Outcome(trial, row, _folder(run, trial).folder / "predictions.csv")
            for trial, row in zip(trials, rows_of)
        ]
        names = (
            {key: workspace.name_of(one) for key, one in generators.items()},
            {key: workspace.name_of(Run(folder)) for key, folder in material.sets.items()},
        )
        summary = summarise(
            chosen,
            config,
            outcomes,
            material,
            positive,
            generators=names[0],
            sets=names[1],
            plan=planned,
            device=str(compute),
        )
        write_json(run.folder / "summary.json", summary)
        write_report(workspace, run)
        run.finish({"verdict": summary["verdict"], "headline": summary["headline"]})
    compute.agree(None)
    return run, read_json(run.folder / "summary.json")


def configs_of(
    trial: Trial, config: ClassifierConfig, design: Design, training: Sequence[Split], reals: int
) -> list[ClassifierConfig]:
    """The classifier's options for each of a trial's training sets, one after the other.

    All trials have the same steps, which several training sets share alike; by epochs, as in the literature, a set gets more of them as it is longer than the reals.
    """
    one = replace(
        config, seed=trial.replicate.seed, augment=config.augment or ARMS[trial.arm].classical
    )
    if design.budget == "steps":
        first = one.steps // len(training)
        return [
            replace(one, steps=max(1, steps))
            for steps in ([one.steps - first, first] if len(training) > 1 else [one.steps])
        ]
    longer = [len(split.labels) / reals for split in training]
    return [
        replace(
            one,
            steps=max(1, round(times * one.steps)),
            evaluate_every=max(1, round(times * one.evaluate_every)),
        )
        for times in longer
    ]


def _train(
    run: Run,
    configs: Sequence[ClassifierConfig],
    training: Sequence[Split],
    material: Material,
    compute: Compute,
    what: str,
    study: dict[str, Any],
) -> None:
    """One classifier: on each training set in turn, and tested after the last."""
    start, held_out = None, material.splits["validation"].dataset()
    for config, split in zip(configs[:-1], training[:-1]):
        before = Run(run.folder / "pretraining")
        before.folder.mkdir(parents=True, exist_ok=True)
        known = {name: study[name] for name in ("classes", "trunk", "store")}
        start = train(
            config, split.dataset(), held_out, before, compute, what=f"{what}, pretraining", **known
        )
    run.folder.mkdir(parents=True, exist_ok=True)
    _, result = train_and_test(
        configs[-1],
        material.splits | {"train": training[-1]},
        run,
        compute,
        start=start,
        what=what,
        **study,
    )
    for folder in ("pretraining", "checkpoints"):
        shutil.rmtree(run.folder / folder, ignore_errors=True)
    (
        run.folder / "classifier.pt"
    ).unlink()  # of hundreds nobody needs the weights; predictions.csv stays
    patients = [patient for split in training for patient in split.patients]
    totals = {
        "steps": sum(config.steps for config in configs),
        "train_images": len(patients),
        "synthetic_images": patients.count(""),
    }
    run.finish(result | (totals if len(training) > 1 else {}))


def _folder(run: Run, trial: Trial) -> Run:
    return Run(run.folder / "classifiers" / trial.name)


def _write_results(run: Run, trials: Sequence[Trial]) -> list[dict[str, Any]]:
    """results.csv, one row per finished classifier; returns the rows."""
    rows = []
    for trial in trials:
        one = _folder(run, trial)
        if one.finished:
            measures, replicate, result = (
                read_json(one.folder / "metrics.json")["measures"],
                trial.replicate,
                one.result,
            )
            row = {
                "arm": trial.arm,
                "fraction": trial.fraction,
                "ratio": trial.ratio,
                "generator": replicate.generator,
                "draw": replicate.draw,
                "seed": replicate.seed,
            }
            rows.append(
                row
                | {
                    name: measures[name]["value"] if name in measures else result[name]
                    for name in MEASURED
                }
            )
    write_text(run.folder / "results.csv", table(COLUMNS, rows))
    return rows
