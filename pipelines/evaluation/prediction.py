"""A finished classifier on images from outside of the study."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch

from classifier.explain import grad_cam, heat_inside
from classifier.predict import TrainedClassifier, load_classifier, predict
from pipelines.data.cleaning import find_fault
from pipelines.data.folders import walk_images
from pipelines.data.importing import MIN_SIDE
from pipelines.evaluation.sight import Sight, Viewer, open_viewer
from pipelines.figures.explanation_figure import draw_explanation
from pipelines.study.image_io import Picture, pixel_hash, read_picture
from pipelines.study.tables import format_table
from pipelines.study.text import decode_file_name
from pipelines.study.workspace import Workspace
from runtime.device import Compute
from runtime.files import write_text
from runtime.progress import progress
from runtime.run import Run


@dataclass(frozen=True)
class Prediction:
    """What a classifier says of one file, or why it was not asked.

    Attributes:
        label: The most probable one; empty where the file has a fault.
        probabilities: Of every class, in the classifier's order.
        note: Of an image that the study was made with.
        fault: Why the file cannot be classified.
        heat_in_lungs: Share of Grad-CAM's heat that lies in the lungs; None where it was not asked
            for, where the lungs are not known, and without heat.
        lungs_in_picture: Share of the picture that is lung, which is what chance would give.
    """

    file: str
    label: str = ""
    probabilities: tuple[float, ...] = ()
    note: str = ""
    fault: str = ""
    heat_in_lungs: float | None = None
    lungs_in_picture: float | None = None


def classify_images(
    workspace: Workspace,
    compute: Compute,
    *,
    images: Sequence[Path],
    classifier: str | None,
    csv: Path | None,
    explain: Path | None,
) -> tuple[Run, TrainedClassifier, list[Prediction], Counter[str]]:
    """Classify files, or all images in folders, with the newest classifier or the one named.

    Files walk the same path as at import, DICOM too, and what import would leave out is not
    classified.

    csv: a table of the predictions, to write. explain: a folder for a Grad-CAM picture of each
    image, with the share of its heat that lies in the lungs where they are known.

    Returns the classifier's run, the classifier, a prediction per file, and how many files in
    folders were passed over, by reason. Raises FileNotFoundError or ValueError when there is no
    image at all that can be classified.
    """
    run = workspace.find_run("classify-train", classifier)
    trained = load_classifier(run.folder / "classifier.pt", compute.device)
    if explain and trained.config.arch == "svm":
        raise ValueError(
            f"--explain: {run.name} is an svm, which has no maps to look into; name another with "
            "--classifier RUN"
        )
    files, passed_over = _list_files(images)
    viewer = open_viewer(
        workspace, run, trained.image_size, compute.device, find_lungs=explain is not None
    )
    sights, predictions = _read_sights(viewer, files)
    if not sights:
        raise ValueError(
            f"none of the {len(files)} images can be classified; the first: "
            f"{predictions[files[0]].fault}"
        )
    inputs = torch.from_numpy(np.stack([sight.image for sight in sights.values()])).unsqueeze(1)
    probabilities = predict(trained, inputs, compute)  # (N, K)
    for file, row in zip(sights, probabilities, strict=True):
        predictions[file] = replace(
            predictions[file],
            label=trained.classes[int(row.argmax())],
            probabilities=tuple(float(value) for value in row),
        )
    if explain:
        predictions |= _explain(explain, trained, predictions, sights, compute)
    ordered = [predictions[file] for file in files]
    if csv:
        table = _format_predictions(ordered, trained.classes, explained=explain is not None)
        write_text(csv, table)
    return run, trained, ordered, passed_over


def _list_files(paths: Sequence[Path]) -> tuple[list[Path], Counter[str]]:
    """Files as given, folders as the images under them, each once; and what is passed over."""
    files: dict[Path, None] = {}
    passed_over: Counter[str] = Counter()
    for path in paths:
        if not path.exists():
            raise FileNotFoundError(
                f"{path} does not exist; expected an image or a folder of images"
            )
        images = list(walk_images(path, passed_over)) if path.is_dir() else [path]
        if not images:
            raise ValueError(
                f"{path} holds no image; expected PNG, JPEG, TIFF, BMP, WebP or DICOM files"
            )
        files |= dict.fromkeys(images)
    return list(files), passed_over


def _read_sights(
    viewer: Viewer, files: Sequence[Path]
) -> tuple[dict[Path, Sight], dict[Path, Prediction]]:
    """Read files as the classifier sees them, those that can be classified.

    Returns them, and of every file a prediction that has its note or its fault so far.
    """
    sights, predictions = {}, {}
    with progress(len(files), "read", "image") as bar:
        for file in files:
            name = decode_file_name(str(file))
            try:
                picture = read_usable_picture(file)
                sights[file] = viewer.see(picture.gray)
            except ValueError as error:
                predictions[file] = Prediction(name, fault=str(error))
            else:
                row = viewer.rows.get(pixel_hash(picture.gray))
                note = f"in the study's {row.split} split" if row else ""
                predictions[file] = Prediction(name, note=note)
            bar.update()
    return sights, predictions


def read_usable_picture(file: Path) -> Picture:
    """Read a file that can be classified. Raises ValueError that says in one line why it cannot."""
    try:
        picture = read_picture(file)
    except ValueError as error:
        raise ValueError(" ".join(str(error).replace(f"{file} ", "").split())) from error
    if problem := find_fault(picture, MIN_SIDE):
        raise ValueError(problem)
    return picture


def _format_predictions(
    predictions: Sequence[Prediction], classes: Sequence[str], *, explained: bool
) -> str:
    """The predictions as CSV; a file that was not classified has no probabilities.

    explained: Whether Grad-CAM was asked for: then there are columns of its heat.
    """
    columns = [f"probability_{name}" for name in classes]
    of_heat = ["heat_in_lungs", "lungs_in_picture"] if explained else []
    rows = []
    for prediction in predictions:
        cells = [f"{value:.6f}" for value in prediction.probabilities] or [""] * len(columns)
        shares = (prediction.heat_in_lungs, prediction.lungs_in_picture)
        rows.append(
            {
                "file": prediction.file,
                "label": prediction.label,
                **dict(zip(columns, cells, strict=True)),
                **{
                    name: "" if share is None else f"{share:.4f}"
                    for name, share in zip(of_heat, shares, strict=False)
                },
                "note": prediction.note,
                "fault": prediction.fault,
            }
        )
    return format_table(["file", "label", *columns, *of_heat, "note", "fault"], rows)


def _explain(
    folder: Path,
    trained: TrainedClassifier,
    predictions: Mapping[Path, Prediction],
    sights: Mapping[Path, Sight],
    compute: Compute,
) -> dict[Path, Prediction]:
    """Write a Grad-CAM picture for each classified file, named by it.

    Returns their predictions with the share of the heat that lies in the lungs.
    """
    folder.mkdir(parents=True, exist_ok=True)
    stems: Counter[str] = Counter()
    explained = {}
    with progress(len(sights), "explain", "image") as bar:
        for file, sight in sights.items():
            prediction = predictions[file]
            index = torch.tensor([trained.classes.index(prediction.label)], device=compute.device)
            image = torch.from_numpy(sight.image)[None, None].to(compute.device)
            heat = grad_cam(trained.network, image, index).cpu()  # (1, S, S)
            explained[file] = prediction = _with_heat(prediction, heat, sight.lungs)
            stem = Path(prediction.file).stem
            stems[stem] += 1
            name = f"{stem}.png" if stems[stem] == 1 else f"{stem}-{stems[stem]}.png"
            caption = _describe(prediction)
            draw_explanation(sight.image, heat[0].numpy(), sight.lungs, caption, folder / name)
            bar.update()
    return explained


def _with_heat(prediction: Prediction, heat: torch.Tensor, lungs: np.ndarray | None) -> Prediction:
    """Add how much of the heat (1, S, S) lies in the lungs (S, S), where both are there."""
    if lungs is None:
        return prediction
    share = float(heat_inside(heat, torch.from_numpy(lungs)[None]))
    return replace(
        prediction,
        heat_in_lungs=None if math.isnan(share) else share,
        lungs_in_picture=float(lungs.mean()),
    )


def _describe(prediction: Prediction) -> list[str]:
    """Write the lines below the picture of a prediction."""
    lines = [
        f"{prediction.label}, probability {max(prediction.probabilities):.3f}; "
        "right: where it saw that (Grad-CAM)"
    ]
    if prediction.lungs_in_picture is not None:
        area = f"{100 * prediction.lungs_in_picture:.0f} % of the picture"
        if prediction.heat_in_lungs is None:
            lines.append(f"no heat at all; the lungs are {area}")
        else:
            share = f"{100 * prediction.heat_in_lungs:.0f} % of the heat"
            lines.append(f"{share} lies in the lungs (outlined), which are {area}")
    return lines
