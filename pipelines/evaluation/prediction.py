"""A finished classifier on images from outside of the study."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
import torch

from classifier.explain import grad_cam
from classifier.predict import TrainedClassifier, load_classifier, predict
from pipelines.data.cleaning import find_fault
from pipelines.data.folders import walk_images
from pipelines.data.importing import MIN_SIDE
from pipelines.data.lungs import draw_lungs, load_network
from pipelines.figures.explanation_figure import draw_explanation
from pipelines.study.image_io import Picture, pixel_hash, read_picture, to_square
from pipelines.study.lung_shape import box_of, find_doubts
from pipelines.study.lungs import Lungs
from pipelines.study.tables import format_table
from pipelines.study.text import decode_file_name
from pipelines.study.view_names import WHOLE
from pipelines.study.views import show_lungs, view_of
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
    """

    file: str
    label: str = ""
    probabilities: tuple[float, ...] = ()
    note: str = ""
    fault: str = ""


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
    image. Returns the classifier's run, the classifier, a prediction per file, and how many files
    in folders were passed over, by reason. Raises FileNotFoundError or ValueError when there is no
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
    see = _view_for(workspace, run, trained.image_size, compute)
    squares, predictions = _read_squares(workspace, files, see)
    if not squares:
        raise ValueError(
            f"none of the {len(files)} images can be classified; the first: "
            f"{predictions[files[0]].fault}"
        )
    inputs = torch.from_numpy(np.stack(list(squares.values()))).unsqueeze(1)  # (N, 1, S, S)
    probabilities = predict(trained, inputs, compute)  # (N, K)
    for file, row in zip(squares, probabilities, strict=True):
        predictions[file] = replace(
            predictions[file],
            label=trained.classes[int(row.argmax())],
            probabilities=tuple(float(value) for value in row),
        )
    ordered = [predictions[file] for file in files]
    if csv:
        write_text(csv, _format_predictions(ordered, trained.classes))
    if explain:
        classified = [predictions[file] for file in squares]
        _explain(explain, trained, classified, inputs, compute)
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


def _view_for(
    workspace: Workspace, run: Run, size: int, compute: Compute
) -> Callable[[np.ndarray], np.ndarray]:
    """Return what brings an image uint8 (H, W) to the (size, size) that a classifier knows.

    Of a classifier of lungs it finds them by the network that found the study's; it raises
    ValueError where they cannot be trusted, and so does this function when that network is gone.
    """
    view = view_of(run.config)
    if view == WHOLE:
        return partial(to_square, size=size)
    network = load_network(workspace, run.config["lung_network"], compute.device)

    def see(gray: np.ndarray) -> np.ndarray:
        drawn = draw_lungs(network, gray)
        doubts = find_doubts(drawn.mask, gray, drawn.agreement)
        if doubts:
            raise ValueError(f"lungs that cannot be trusted: {'; '.join(doubts)}")
        return show_lungs(gray, Lungs(drawn.mask, box_of(drawn.mask)), view, size)

    return see


def _read_squares(
    workspace: Workspace, files: Sequence[Path], see: Callable[[np.ndarray], np.ndarray]
) -> tuple[dict[Path, np.ndarray], dict[Path, Prediction]]:
    """Read files as the classifier sees them, those that can be classified.

    see: Brings a picture uint8 (H, W) to that, or raises ValueError that says why it cannot.
    Returns them, and of every file a prediction that has its note or its fault so far.
    """
    split_of = {row.sha256: row.split for row in workspace.all_rows()}
    squares, predictions = {}, {}
    with progress(len(files), "read", "image") as bar:
        for file in files:
            name = decode_file_name(str(file))
            try:
                picture = read_usable_picture(file)
                squares[file] = see(picture.gray)
            except ValueError as error:
                predictions[file] = Prediction(name, fault=str(error))
            else:
                split = split_of.get(pixel_hash(picture.gray))
                note = f"in the study's {split} split" if split else ""
                predictions[file] = Prediction(name, note=note)
            bar.update()
    return squares, predictions


def read_usable_picture(file: Path) -> Picture:
    """Read a file that can be classified. Raises ValueError that says in one line why it cannot."""
    try:
        picture = read_picture(file)
    except ValueError as error:
        raise ValueError(" ".join(str(error).replace(f"{file} ", "").split())) from error
    if problem := find_fault(picture, MIN_SIDE):
        raise ValueError(problem)
    return picture


def _format_predictions(predictions: Sequence[Prediction], classes: Sequence[str]) -> str:
    """The predictions as CSV; a file that was not classified has no probabilities."""
    columns = [f"probability_{name}" for name in classes]
    rows = []
    for prediction in predictions:
        cells = [f"{value:.6f}" for value in prediction.probabilities] or [""] * len(columns)
        rows.append(
            {
                "file": prediction.file,
                "label": prediction.label,
                **dict(zip(columns, cells, strict=True)),
                "note": prediction.note,
                "fault": prediction.fault,
            }
        )
    return format_table(["file", "label", *columns, "note", "fault"], rows)


def _explain(
    folder: Path,
    trained: TrainedClassifier,
    predictions: Sequence[Prediction],
    inputs: torch.Tensor,
    compute: Compute,
) -> None:
    """Write a Grad-CAM picture for each of the inputs, named by its file.

    inputs: uint8 (N, 1, S, S).
    """
    folder.mkdir(parents=True, exist_ok=True)
    stems: Counter[str] = Counter()
    with progress(len(predictions), "explain", "image") as bar:
        for prediction, image in zip(predictions, inputs, strict=True):
            index = torch.tensor([trained.classes.index(prediction.label)], device=compute.device)
            heat = grad_cam(trained.network, image[None].to(compute.device), index)  # (1, S, S)
            stem = Path(prediction.file).stem
            stems[stem] += 1
            name = f"{stem}.png" if stems[stem] == 1 else f"{stem}-{stems[stem]}.png"
            draw_explanation(
                image[0].numpy(),
                heat[0].cpu().numpy(),
                f"{prediction.label}, probability {max(prediction.probabilities):.3f}; "
                "right: where it saw that (Grad-CAM)",
                folder / name,
            )
            bar.update()
