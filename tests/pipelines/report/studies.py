"""Studies written by hand, for tests of the report: one has everything, one next to nothing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from classifier.config import ClassifierConfig
from classifier.metrics import Metrics
from pipelines.results.audit_result import (
    AlterationResult,
    AuditResult,
    LungHeat,
    Skill,
    SourceAudit,
)
from pipelines.results.classifier_result import ClassifierResult
from pipelines.results.comparison_rows import write_rows
from pipelines.results.comparison_summary import ComparisonSummary
from pipelines.results.image_count import ImageCount
from pipelines.study.image_io import pixel_hash, write_gray
from pipelines.study.import_log import (
    HeldOut,
    HoldOutRule,
    ImportSource,
    ImportSummary,
    NearDuplicate,
    write_imports,
)
from pipelines.study.lungs import (
    DOUBTFUL,
    GOOD,
    HUMAN,
    NETWORK,
    LungRow,
    mask_hash,
    mask_name,
    table_path,
    write_lungs,
)
from pipelines.study.manifest import Row, study_fingerprint, write_manifest
from pipelines.study.workspace import Workspace
from runtime.estimate import Estimate
from runtime.files import read_json, write_json
from runtime.run import Run
from tests.pipelines.report.made_scores import make_score
from tests.pipelines.report.summaries import (
    CLASSES,
    IMAGE_SIZE,
    make_poor_summary,
    make_rows,
    make_summary,
)

BLANK = np.zeros((IMAGE_SIZE, IMAGE_SIZE), np.uint8)


def make_images(workspace: Workspace) -> list[Row]:
    """16 images of 8 patients, split by patient."""
    rng, rows = np.random.default_rng(0), []
    for number in range(16):
        label, split = CLASSES[number % 2], ("train", "train", "validation", "test")[number // 4]
        gray = rng.integers(0, 256, (40, IMAGE_SIZE), np.uint8)
        name = f"images/{number % 2}/{number}.png"
        (workspace.data / name).parent.mkdir(parents=True, exist_ok=True)
        write_gray(workspace.data / name, gray)
        patient = f"p{number // 4 * 4 + number % 2}"
        rows.append(
            Row(
                file_name=name,
                label=label,
                patient=patient,
                split=split,
                source="clinic",
                view="PA",
                sha256=pixel_hash(gray),
                fold=None,
                near_hash="",
                width=IMAGE_SIZE,
                height=40,
            )
        )
    write_manifest(workspace.manifest_path, rows)
    return rows


def write_comparison(run: Run, summary: ComparisonSummary) -> None:
    """Write what a comparison leaves."""
    summary.save(run)
    write_rows(run, make_rows(summary))


def poor_study(root: Path) -> tuple[Workspace, Run]:
    """Make a study of images and a comparison of two arms, and nothing else."""
    workspace = Workspace(root)
    data = study_fingerprint(make_images(workspace))
    run = workspace.create_run("compare", {"data": data})
    write_comparison(run, make_poor_summary(data))
    return workspace, run


def make_study(root: Path) -> tuple[Workspace, Run]:
    """Make a study with all that a page can show, and a comparison of all arms."""
    workspace = Workspace(root)
    rows = make_images(workspace)
    data = study_fingerprint(rows)
    write_imports(workspace.data / "import.json", [make_import(rows)])
    write_json(workspace.data / "check.json", make_check())
    trained_on = sorted(row.sha256 for row in rows if row.split == "train")
    for runs, seed in ((workspace, 0), (workspace.replicates, 1)):
        generator = make_generator(runs, seed)
        make_synthetic_set(runs, generator, trained_on)
    for synthetic in (None, "0002-synthesize"):
        make_single_classifier(workspace, synthetic)
    scored = workspace.create_run("score", {"held_out_split": "validation"})
    make_score().save(scored)
    scored.finish({})
    audited = workspace.create_run("audit", {"data": data, "classifier_sha256": "ef" * 32})
    make_audit().save(audited)
    write_gray(audited.folder / "audit.png", BLANK)
    audited.finish({})
    config = {"trunk_sha256": None, "options": "of the comparison", "data": data}
    run = workspace.create_run("compare", config)
    write_comparison(run, make_summary(data=data))
    return workspace, run


def give_lungs(
    study: tuple[Workspace, Run],
    view: str = "lung-box",
    *,
    doubtful: Sequence[int] = (),
    brought: Sequence[int] = (),
    trained_on: Sequence[int] = (),
) -> None:
    """Give a study lungs, and its comparison a view of them.

    doubtful, brought, trained_on: the places, among the study's images, of masks that are so.
    """
    workspace, run = study
    lung_rows = []
    for number, row in enumerate(workspace.all_rows()):
        mask = np.zeros((row.height, row.width), bool)
        mask[5:35, 3:12] = mask[5:35, 18:29] = True
        path = workspace.data / "lungs" / mask_name(row.file_name)
        path.parent.mkdir(parents=True, exist_ok=True)
        write_gray(path, mask.astype(np.uint8) * 255)
        lung_rows.append(
            LungRow(
                file_name=row.file_name,
                sha256=row.sha256,
                left=3,
                top=5,
                right=29,
                bottom=35,
                quality=DOUBTFUL if number in doubtful else GOOD,
                doubts="one lung only" if number in doubtful else "",
                source=HUMAN if number in brought else NETWORK,
                trained_on="yes" if number in trained_on else "no",
                mask_sha256=mask_hash(mask),
            )
        )
    write_lungs(table_path(workspace.data), lung_rows)
    write_json(workspace.data / "lungs.json", {"network": "packaged", "network_sha256": "ab" * 32})
    data = Workspace(workspace.root).in_view(view).fingerprint()
    replace(ComparisonSummary.load(run), view=view, data_fingerprint=data).save(run)


def make_import(rows: list[Row]) -> ImportSummary:
    """Make an import from two sources, the second of them external."""
    layout = "folder per label"
    return ImportSummary(
        sources=[
            ImportSource("my clinic", layout, 21, {"not frontal": 3}, 0),
            ImportSource("theirs", layout, 0, {}, 0, external=True),
        ],
        kept=16,
        left_out_counts={"unreadable": 5, "exact duplicate": 2},
        left_out=[],
        near_duplicates=[NearDuplicate((rows[0].file_name, rows[2].file_name), 3)],
        unknown_views={},
        may_show_text=0,
        images_in_study=16,
        split="70/10/20",
        split_seed=7,
        folds=None,
        min_side=0,
        held_out=HeldOut(
            [HoldOutRule("town=Ulm*", 2, {"Ulm": 2}, 0)], {"covid": 2}, {"covid": 2}, 0
        ),
    )


def make_check() -> dict:
    """Make what data/check.json says."""
    groups = [
        {
            "label": label,
            "source": "clinic",
            "images": 8,
            "patients": 4,
            "side": 40.0,
            "brightness": 127.4,
            "contrast": 73.9,
            "border": 6.2,
        }
        for label in CLASSES
    ]
    return {
        "images": 16,
        "groups": groups,
        "apart": {label: {"longest side": 0.5, "brightness": 0.6172} for label in CLASSES},
        "predictable": {"by_source": 0.5, "by_facts": 0.5533, "commonest": 0.5},
        "warnings": ["a warning of the data check"],
    }


def make_generator(runs: Workspace, seed: int) -> Run:
    """Make a finished generator, with a sample grid and curves."""
    config = {
        "preset": "small-data",
        "image_size": IMAGE_SIZE,
        "steps": 9000,
        "seed": seed,
        "classes": list(CLASSES),
        "real_fraction": 1.0,
        "max_minutes": None,
    }
    run = runs.create_run("gan-train", config)
    (run.folder / "samples").mkdir()
    write_gray(run.folder / "samples" / "step-000250.png", BLANK)
    write_gray(run.folder / "curves.png", BLANK)
    parameters = {"generator": 1234567, "discriminator": 7654}
    run.finish({"step": 250, "seconds": 90.0, "images": 8, "parameters": parameters})
    return run


def make_synthetic_set(runs: Workspace, generator: Run, trained_on: list[str]) -> None:
    """Make a set of three images of each class."""
    config = {
        "n": 6,
        "seed": 3,
        "labels": list(CLASSES),
        "generator": runs.name_of(generator),
        "snapshot": "best",
        "unhealthy": [],
        "trained_on": trained_on,
    }
    run, rng = runs.create_run("synthesize", config), np.random.default_rng(0)
    for number in range(6):
        path = run.folder / "images" / CLASSES[number % 2] / f"synthetic-{number:06d}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        write_gray(path, rng.integers(0, 256, BLANK.shape, np.uint8))
    run.finish({})


def make_single_classifier(workspace: Workspace, synthetic: str | None) -> None:
    """Make a finished classifier, with its figures."""
    run = workspace.create_run("classify-train", {"synthetic": synthetic})
    for figure in ("training_curves.png", "confusion_matrix.png"):
        write_gray(run.folder / figure, BLANK)
    ClassifierResult(
        test=make_metrics(Estimate(0.751, 0.3, 0.98, n=4), patients=4),
        validation={"accuracy": 0.75},
        external=make_metrics(Estimate(0.617, 0.2, 0.91, n=9), patients=8),
        train_images=20,
        synthetic_images=6 if synthetic else 0,
        steps=8,
        best_step=8,
    ).save(run)
    run.finish({})


def make_metrics(accuracy: Estimate, patients: int) -> Metrics:
    """Metrics of a single classifier, of which the page shows the accuracy."""
    return Metrics(
        n=accuracy.n,
        patients=patients,
        positive=CLASSES[0],
        measures={"accuracy": accuracy},
        threshold=0.5,
        at_threshold={},
        classes={},
        confusion=[],
        reliability=[],
    )


def make_audit() -> AuditResult:
    """The result of an audit that trained one classifier anew, on images with lungs covered."""

    def skill(roc_auc: float) -> Skill:
        accuracy = Estimate(0.75, 0.25, 1.0, 4)
        return Skill(accuracy, Estimate(roc_auc, roc_auc - 0.07, roc_auc + 0.05, 4))

    return AuditResult(
        classifier="0003-classify-train",
        config=ClassifierConfig(),
        image_size=IMAGE_SIZE,
        view="whole",
        classes=("covid", "normal"),
        positive="covid",
        synthetic_in_training=None,
        test=ImageCount(images=4, patients=4),
        alterations=(
            AlterationResult("whole", "whole images", skill(0.913), None, None),
            AlterationResult("lungs-covered", "lungs covered", skill(0.613), skill(0.824), 0.784),
        ),
        sources=SourceAudit({}, (), (), "a sentence about sources"),
        lung_heat=LungHeat(Estimate(0.431, 0.362, 0.504, 4), 0.31, patients=4, left_out=0),
        rule="a rule",
        close_from=None,
        warnings=("a warning of the audit",),
        intended_use="research",
    )


def change(path: Path, **values: object) -> None:
    """Give a JSON file of a study other values."""
    write_json(path, read_json(path) | values)
