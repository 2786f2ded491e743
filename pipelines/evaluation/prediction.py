"""A finished classifier on images from outside of the study."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from matplotlib import colormaps
from matplotlib.font_manager import findfont
from PIL import Image, ImageDraw, ImageFont, PngImagePlugin

from classifier.explain import grad_cam
from classifier.predict import TrainedClassifier, load_classifier, predict
from pipelines.data.cleaning import fault
from pipelines.data.sources import image_files, readable
from pipelines.figures.style import INK, MUTED
from pipelines.study.image_io import Picture, pixel_hash, read_picture, to_square
from pipelines.study.intended_use import INTENDED_USE
from pipelines.study.manifest import table
from pipelines.study.workspace import Workspace
from runtime.device import Compute
from runtime.files import atomic, write_text
from runtime.progress import progress
from runtime.run import Run

MIN_SIDE = 64  # pixels
SHOWN = 384  # pixels, side of each of the two pictures of an explanation
STRENGTH = 0.55  # of the colour at the map's largest value


@dataclass(frozen=True)
class Answer:
    """What the classifier says of one file, or why it was not asked."""

    file: str
    label: str = ""
    probabilities: tuple[float, ...] = ()
    note: str = ""  # of an image that the study was made with
    fault: str = ""


def classify_images(
    workspace: Workspace,
    compute: Compute,
    *,
    images: Sequence[Path],
    classifier: str | None,
    csv: Path | None,
    explain: Path | None,
) -> tuple[Run, TrainedClassifier, list[Answer]]:
    """Classify files, or all images in folders, with the newest classifier or the one named; returns its run, it, and an answer per file.

    Files walk the same path as at import, DICOM too, and what import would leave out is not classified. csv: a table of the answers, to write.
    explain: a folder for a Grad-CAM picture of each image. Raises FileNotFoundError or ValueError when there is no image at all that can be classified.
    """
    run = workspace.find_run("classify-train", classifier)
    trained = load_classifier(run.folder / "classifier.pt", compute.device)
    if explain and trained.config.arch == "svm":
        raise ValueError(
            f"--explain: {run.name} is an svm, which has no maps to look into; name another with --classifier RUN"
        )
    files = _files(images)
    study = {row.sha256: row.split for row in workspace.rows()}
    squares, answers = {}, {}
    with progress(len(files), "read", "image") as bar:
        for file in files:
            picture, problem = _read(file)
            if problem:
                answers[file] = Answer(readable(str(file)), fault=problem)
            else:
                split = study.get(pixel_hash(picture.gray))
                answers[file] = Answer(
                    readable(str(file)), note=f"in the study's {split} split" if split else ""
                )
                squares[file] = to_square(picture.gray, trained.image_size)
            bar.update()
    if not squares:
        raise ValueError(
            f"none of the {len(files)} images can be classified; the first: {answers[files[0]].fault}"
        )
    inputs = torch.from_numpy(np.stack(list(squares.values()))).unsqueeze(1)  # (N, 1, S, S)
    for file, row in zip(squares, predict(trained, inputs, compute)):
        answers[file] = Answer(
            readable(str(file)),
            trained.classes[int(row.argmax())],
            tuple(float(value) for value in row),
            answers[file].note,
        )
    ordered = [answers[file] for file in files]
    if csv:
        write_text(csv, _table(ordered, trained.classes))
    if explain:
        _explain(explain, trained, [answers[file] for file in squares], inputs, compute)
    return run, trained, ordered


def _files(given: Sequence[Path]) -> list[Path]:
    """Files as given, folders as the images under them, each once."""
    files: dict[Path, None] = {}
    for path in given:
        if not path.exists():
            raise FileNotFoundError(
                f"{path} does not exist; expected an image or a folder of images"
            )
        found = list(image_files(path, Counter())) if path.is_dir() else [path]
        if not found:
            raise ValueError(
                f"{path} holds no image; expected PNG, JPEG, TIFF, BMP, WebP or DICOM files"
            )
        files |= dict.fromkeys(found)
    return list(files)


def _read(file: Path) -> tuple[Picture | None, str]:
    """A picture, or why there is none that can be classified."""
    try:
        picture = read_picture(file)
    except ValueError as error:
        return None, " ".join(str(error).replace(f"{file} ", "").split())
    return picture, fault(picture, MIN_SIDE) or ""


def _table(answers: Sequence[Answer], classes: Sequence[str]) -> str:
    columns = [f"probability_{name}" for name in classes]
    rows = [
        {"file": answer.file, "label": answer.label, "note": answer.note, "fault": answer.fault}
        | dict(
            zip(
                columns,
                (f"{value:.6f}" for value in answer.probabilities or [np.nan] * len(classes)),
            )
        )
        for answer in answers
    ]
    return table(
        ["file", "label", *columns, "note", "fault"],
        [{name: "" if value == "nan" else value for name, value in row.items()} for row in rows],
    )


def _explain(
    folder: Path,
    trained: TrainedClassifier,
    answers: Sequence[Answer],
    inputs: torch.Tensor,
    compute: Compute,
) -> None:
    """A picture per image: what the network saw, and beside it in colour where it saw its label."""
    folder.mkdir(parents=True, exist_ok=True)
    font = ImageFont.truetype(findfont("DejaVu Sans"), 15)
    names = Counter()
    with progress(len(answers), "explain", "image") as bar:
        for answer, image in zip(answers, inputs):
            index = torch.tensor([trained.classes.index(answer.label)], device=compute.device)
            heat = (
                grad_cam(trained.network, image[None].to(compute.device), index)[0].cpu().numpy()
            )  # (S, S)
            sheet = Image.new("RGB", (2 * SHOWN + 8, SHOWN + 56), "white")
            seen = (
                Image.fromarray(image[0].numpy())
                .resize((SHOWN, SHOWN), Image.Resampling.BICUBIC)
                .convert("RGB")
            )
            raised = np.asarray(
                Image.fromarray(heat).resize((SHOWN, SHOWN), Image.Resampling.BICUBIC)
            ).clip(0, 1)[..., None]
            coloured = (
                np.asarray(seen) * (1 - STRENGTH * raised)
                + 255 * colormaps["inferno"](raised[..., 0])[..., :3] * STRENGTH * raised
            )
            sheet.paste(seen, (0, 0))
            sheet.paste(Image.fromarray(coloured.round().astype(np.uint8)), (SHOWN + 8, 0))
            draw = ImageDraw.Draw(sheet)
            draw.text(
                (2, SHOWN + 8),
                f"{answer.label}, probability {max(answer.probabilities):.3f}; right: where it saw that (Grad-CAM)",
                fill=INK,
                font=font,
            )
            draw.text(
                (2, SHOWN + 31), "Research on methods only: no diagnosis.", fill=MUTED, font=font
            )
            stem = Path(answer.file).stem
            names[stem] += 1
            notes = PngImagePlugin.PngInfo()
            notes.add_itxt("Comment", INTENDED_USE)
            with atomic(
                folder / (f"{stem}.png" if names[stem] == 1 else f"{stem}-{names[stem]}.png")
            ) as target:
                sheet.save(target, "PNG", pnginfo=notes)
            bar.update()
