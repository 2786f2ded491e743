"""Make the pictures of README and docs from a study on drawn phantoms.

    .venv/bin/python docs/make_pictures.py [STUDY]

STUDY is the folder of `cxr demo` (demo-study when it is not given). What it lacks is made: the demo
itself takes a few minutes. No image of a patient may come into the repository, so a study that
holds anything but phantoms is refused.
"""

from __future__ import annotations

import csv
import subprocess
import sys
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

ROOT = Path(__file__).resolve().parent.parent
PICTURES = ROOT / "docs" / "pictures"
COPIED = {  # picture: the command that leaves it, its file, and how wide it becomes at most
    "verdict": ("compare", "comparison.png", 880),
    "measures": ("classify-train", "measures.png", 880),
    "nearest_pairs": ("score", "nearest_pairs.png", 880),
    "audit": ("audit", "audit.png", 880),
}
COLOURS, GRAYS = 64, 64  # of a picture's palette
PER_ROW = 4  # images of each kind and label in the grid
TILE = 128  # pixels
MARGIN, TITLE, GUTTER = 70, 26, 12  # pixels: for labels, for titles, between the two halves


def run_cxr(study: Path, *arguments: str) -> None:
    """Run a command in the study."""
    command = [sys.executable, "-m", "pipelines.cli", "-C", str(study), *arguments]
    subprocess.run(command, cwd=ROOT, check=True)


def newest(study: Path, command: str, file: str) -> Path | None:
    """Return a file of the newest run of a command that left it."""
    found = sorted((study / "runs").glob(f"*-{command}/{file}"))
    return found[-1] if found else None


def complete(study: Path) -> None:
    """Run the commands whose files the study lacks."""
    if newest(study, "compare", "summary.json") is None:
        run_cxr(study, "demo")
    if newest(study, "audit", "audit.json") is None:
        run_cxr(study, "audit")
    if not (study / "data" / "contact_sheet.png").exists():
        run_cxr(study, "data", "show")


def check_phantoms(study: Path) -> None:
    """Refuse a study that holds anything but phantoms."""
    with open(study / "data" / "manifest.csv", encoding="utf-8", newline="") as table:
        sources = {row["source"] for row in csv.DictReader(table)}
    if sources != {"phantom"}:
        raise SystemExit(f"{study} holds images that are no phantoms: no picture is made of it")


def write_small(picture: Image.Image, name: str, width: int) -> None:
    """Write a picture with a palette, no wider than `width`."""
    if picture.width > width:
        height = round(picture.height * width / picture.width)
        picture = picture.resize((width, height), Image.Resampling.LANCZOS)
    path = PICTURES / f"{name}.png"
    few = few_grays(picture) if picture.mode == "L" else few_colours(picture)
    few.save(path, optimize=True)
    print(f"{path.relative_to(ROOT)}: {path.stat().st_size / 1000:.0f} kB")


def few_colours(picture: Image.Image) -> Image.Image:
    """Return a picture in the colours that fit it best."""
    return picture.convert("RGB").quantize(COLOURS, dither=Image.Dither.NONE)


def few_grays(picture: Image.Image) -> Image.Image:
    """Return a gray picture in evenly spaced grays."""
    few = picture.point([round(gray * (GRAYS - 1) / 255) for gray in range(256)])
    grays = [round(level * 255 / (GRAYS - 1)) for level in range(GRAYS)]
    few.putpalette([gray for gray in grays for _ in range(3)])
    return few


def grid_of_both(study: Path) -> Image.Image:
    """Draw test phantoms and synthetic images side by side, the first ones of each label.

    Both have passed through the same pixels: the study's size, enlarged without smoothing.
    """
    from pipelines.study.dataset import open_study

    manifest = newest(study, "synthesize", "manifest.csv")
    assert manifest is not None
    files = files_by_label(manifest)
    image_size = Image.open(next(iter(files.values()))[0]).width
    test = open_study(study, "test", image_size=image_size)
    half = PER_ROW * TILE
    size = (MARGIN + 2 * half + GUTTER, TITLE + len(test.classes) * TILE)
    sheet = Image.new("L", size, 255)
    draw, font = ImageDraw.Draw(sheet), ImageFont.load_default(16)
    for column, title in enumerate(("drawn phantoms (test split)", "synthetic")):
        draw.text((MARGIN + column * (half + GUTTER), 3), title, fill=30, font=font)
    for row, label in enumerate(test.classes):
        top = TITLE + row * TILE
        draw.text((4, top + TILE // 2 - 8), label, fill=30, font=font)
        patients = {item.patient: place for place, item in reversed(list(enumerate(test.rows)))}
        reals = [place for place in sorted(patients.values()) if test.rows[place].label == label]
        halves: list[list[Image.Image]] = [
            [Image.fromarray(test[place][0][0].numpy()) for place in reals[:PER_ROW]],
            [Image.open(file) for file in files[label][:PER_ROW]],
        ]
        for column, images in enumerate(halves):
            for number, image in enumerate(images):
                tile = image.resize((TILE, TILE), Image.Resampling.NEAREST)
                sheet.paste(tile, (MARGIN + column * (half + GUTTER) + number * TILE, top))
    return sheet


def files_by_label(manifest: Path) -> dict[str, list[Path]]:
    """List the images of a synthetic set, those of each label by themselves."""
    files: dict[str, list[Path]] = {}
    with open(manifest, encoding="utf-8", newline="") as table:
        for row in csv.DictReader(table):
            files.setdefault(row["label"], []).append(manifest.parent / row["file_name"])
    return files


def progress_of_training(study: Path) -> Image.Image:
    """Cut the first, the middle and the last snapshot out of a generator's progress."""
    path = newest(study, "gan-train", "progress.png")
    assert path is not None
    strip = Image.open(path)
    snapshots = len(list((path.parent / "snapshots").glob("*.pt")))
    height = strip.height // snapshots  # of a snapshot: a row of samples for each label
    sheet = Image.new("L", (strip.width, 3 * height), 255)
    for place, snapshot in enumerate((0, (snapshots - 1) // 2, snapshots - 1)):
        top = round(snapshot * strip.height / snapshots)
        sheet.paste(strip.crop((0, top, strip.width, top + height)), (0, place * height))
    return sheet


def main(study: Path) -> None:
    """Make every picture."""
    complete(study)
    check_phantoms(study)
    PICTURES.mkdir(exist_ok=True)
    grid = grid_of_both(study)
    write_small(grid, "phantoms", grid.width)
    write_small(progress_of_training(study), "progress", 640)
    sheet = Image.open(study / "data" / "contact_sheet.png")
    training = sheet.crop((0, 0, sheet.width, sheet.height // 3))  # of three splits
    write_small(training, "contact_sheet", 720)
    for name, (command, file, width) in COPIED.items():
        source = newest(study, command, file)
        if source is None:
            raise SystemExit(f"{study} has no {file} of cxr {command}")
        write_small(Image.open(source), name, width)


if __name__ == "__main__":
    sys.path.insert(0, str(ROOT))
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT / "demo-study")
