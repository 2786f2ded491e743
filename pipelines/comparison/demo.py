"""The whole study on phantom images, in the time it takes to read the README."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

from pipelines.comparison.runner import compare
from pipelines.data.importing import import_listings
from pipelines.data.phantom_source import list_phantoms
from pipelines.evaluation.score import score_synthetic
from pipelines.results.comparison_summary import ComparisonSummary
from pipelines.results.score_summary import ScoreSummary
from pipelines.study.runs import RunRequest
from pipelines.study.splitting import parse_ratios
from pipelines.study.workspace import Workspace
from pipelines.training.classifier import train_classifier
from pipelines.training.generator import train_generator
from pipelines.training.synthesis import synthesize
from runtime.device import Compute

PHANTOMS = 600
SYNTHETIC = 600
GAN = {"steps": 900, "width": 16, "batch_size": 32, "sample_every": 150}
CLASSIFIER = {"steps": 300}
DESIGN = {"seeds": 3}


def demo(
    workspace: Workspace, compute: Compute, seed: int, say: Callable[[str], None]
) -> tuple[ComparisonSummary, ScoreSummary, Path]:
    """Every command of a study in turn, with small settings; returns the comparison, the scores and
    the report page.

    say: is told what begins, with the seconds since the start.
    """
    started = time.monotonic()

    def begin(what: str) -> None:
        say(f"[{time.monotonic() - started:4.0f} s] {what}")

    if not workspace.manifest_path.exists():
        begin(f"cxr data phantom --n {PHANTOMS}")
        import_listings(
            workspace, [list_phantoms(PHANTOMS, seed)], ratios=parse_ratios("70/10/20"), seed=seed
        )
    begin("cxr gan-train, a small one")
    request = RunRequest(compute=compute)
    train_generator(workspace, GAN | {"seed": seed}, request)
    begin(f"cxr synthesize --n {SYNTHETIC}")
    synthesize(workspace, {"n": SYNTHETIC, "seed": seed}, request)
    classifier = CLASSIFIER | {"seed": seed}
    begin("cxr classify-train")
    train_classifier(workspace, classifier, request)
    begin("cxr classify-train --with-synthetic")
    train_classifier(workspace, classifier, request, synthetic="")
    begin("cxr score")
    _, scores = score_synthetic(workspace, compute, synthetic=None, features=["cnn"])
    begin("cxr compare")
    run, summary = compare(workspace, classifier, request, design=DESIGN)
    begin("done")
    return summary, scores, run.folder / "report.html"
