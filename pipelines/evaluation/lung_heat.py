"""Where a classifier looks: the share of Grad-CAM's heat that falls in the lungs.

Maps of heat are coarse and say where, not why: heat in the lungs proves little, heat beside them is
a reason to ask. What the audit trains anew is the test.
"""

from __future__ import annotations

import numpy as np
import torch

from classifier.explain import grad_cam, heat_inside
from classifier.predict import TrainedClassifier
from pipelines.metrics.confidence_intervals import estimate_mean
from pipelines.results.audit_result import LungHeat
from pipelines.study.split import Split
from pipelines.study.views import read_lung_shares
from pipelines.study.workspace import Workspace
from runtime.device import Compute
from runtime.progress import progress

EXPLAINED_AT_ONCE = 16


def measure_lung_heat(
    workspace: Workspace,
    trained: TrainedClassifier,
    images: Split,
    probabilities: np.ndarray,
    compute: Compute,
) -> LungHeat | None:
    """Measure how much of the heat for the label that it gives lies in the lungs of each image.

    probabilities: (N, K), the classifier's. None for an svm, for a study without lungs, and where
    no image has both heat and lungs that can be trusted.
    """
    if trained.config.arch == "svm" or not workspace.has_lungs:
        return None
    rows = {row.file_name: row for row in workspace.rows()}
    usable = [i for i, name in enumerate(images.file_names) if workspace.lungs[name].is_usable]
    if not usable:
        return None
    chosen = images.take(usable)
    size = trained.image_size
    lungs = read_lung_shares(workspace, [rows[name] for name in chosen.file_names], size)
    heat = _heat_in(lungs, trained, chosen, probabilities[usable].argmax(axis=1), compute)
    is_hot = ~np.isnan(heat)
    if not is_hot.any():
        return None
    patients = np.array(chosen.patients)[is_hot]
    return LungHeat(
        share=estimate_mean(heat[is_hot], patients),
        area=float(lungs[is_hot].mean()),
        patients=len(set(patients)),
        left_out=len(images.labels) - int(is_hot.sum()),
    )


def _heat_in(
    areas: np.ndarray,
    trained: TrainedClassifier,
    images: Split,
    labels: np.ndarray,
    compute: Compute,
) -> np.ndarray:
    """Return the share of each image's heat for its label that lies in its area (N, S, S).

    Float (N,), NaN without heat.
    """
    batches = zip(
        images.pixels().split(EXPLAINED_AT_ONCE),
        torch.from_numpy(labels).split(EXPLAINED_AT_ONCE),
        torch.from_numpy(areas).split(EXPLAINED_AT_ONCE),
        strict=True,
    )
    found = []
    with progress(len(labels), "Grad-CAM", "image") as bar:
        for pixels, label, area in batches:
            heat = grad_cam(trained.network, pixels.to(compute.device), label.to(compute.device))
            found.append(heat_inside(heat.cpu(), area).double())
            bar.update(len(label))
    return torch.cat(found).numpy()
