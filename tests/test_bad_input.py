"""Every command, given what it cannot use: exit code 2, one line that says what is wrong.

And nothing is changed on disk. To add a row: the command as it would be typed, in the folder of a
study with runs 1 (gan-train), 2 (synthesize) and 3 (classify-train), and a part of the line that is
expected. Where the study has to be spoilt before, a third entry does it, to a copy.
"""

from __future__ import annotations

import hashlib
import os
import shlex
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from pipelines.cli import main
from pipelines.cli.data import data
from pipelines.study.manifest import read_manifest
from tests.conftest import ROOT, cxr

CACHES = ("arrays", "features")  # made anew whenever they are missing


class Row(NamedTuple):
    """A command that is refused, a part of the line that it says, and what spoils the study."""

    command: str
    message: str
    spoil: Callable[[Path], object] | None = None


def empty(study: Path) -> None:
    shutil.rmtree(study)
    study.mkdir()


def of_one_label(study: Path) -> None:
    path = study / "data" / "manifest.csv"
    lines = path.read_text().splitlines(keepends=True)
    path.write_text("".join(line for line in lines if ",covid," not in line))


def of_five_images(study: Path) -> None:
    path = study / "data" / "manifest.csv"
    path.write_text("".join(path.read_text().splitlines(keepends=True)[:6]))


def without(name: str) -> Callable[[Path], None]:
    return lambda study: (study / name).unlink()


def halved(name: str) -> Callable[[Path], object]:
    def spoil(study: Path) -> None:
        content = (study / name).read_bytes()
        (study / name).write_bytes(content[: len(content) // 2])

    return spoil


def replaced(name: str, old: str, new: str) -> Callable[[Path], object]:
    return lambda study: (study / name).write_text((study / name).read_text().replace(old, new))


def with_a_damaged_key(study: Path) -> None:
    key = study / "data" / "patients.key"
    key.write_text("z" + key.read_text()[1:])


def without_an_image(study: Path) -> None:
    shutil.rmtree(study / "data" / "arrays", ignore_errors=True)
    (study / "data" / read_manifest(study / "data" / "manifest.csv")[0].file_name).unlink()


def with_a_damaged_image(study: Path) -> None:
    shutil.rmtree(study / "data" / "arrays", ignore_errors=True)
    path = next((study / "data" / "images" / "covid").iterdir())
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def with_a_foreign_generator(study: Path) -> None:
    (study / GAN / "generator.pt").write_bytes(b"PK\x03\x04 something else")


GAN = "runs/0001-gan-train"
SYNTHETIC = "runs/0002-synthesize"
CLASSIFIER = "runs/0003-classify-train"
ROWS = [
    # what click sees
    Row("--nonsense", "No such option"),
    Row("nonsense", "No such command 'nonsense'"),
    Row("data nonsense", "data --help"),
    Row("data import", "Missing argument"),
    Row("gan-train --nonsense", "No such option '--nonsense'"),
    Row("gan-train extra", "unexpected extra argument"),
    Row("gan-train --steps many", "'many' is not a valid integer; see: "),
    Row("gan-train --preset best", "'best' is not one of"),
    Row("gan-train -C data/manifest.csv", "is a file"),
    Row("data export out", "Missing option '--for'"),
    Row("data export out --for flat --split test", "--split test: only train is exported"),
    Row("data export runs --for flat", "is not empty; choose a new folder"),
    Row("synthesize --trained-on nothing", "add --from PATH"),
    Row("synthesize --from data/images", "nothing says what the generator of these images"),
    Row("synthesize --from data/images --trained-on nothing", "are real images of this study"),
    Row("synthesize --from nowhere --trained-on unknown", "nowhere does not exist"),
    Row("synthesize --from data/images --trained-on nothing --n 5", "--n is about a generator"),
    Row(
        "synthesize --from data/images --trained-on nothing --sampling-scale 2",
        "--sampling-scale is about a generator",
    ),
    Row("compare --synthetic A=2,B=2", "expected sets of different names and runs"),
    Row("synthesize --n", "requires an argument"),
    Row("synthesize --n nan", "not a valid integer"),
    Row("classify", "Missing argument"),
    Row("classify-train --augment perhaps", "not a valid boolean"),
    Row("export --format exe", "'exe' is not one of"),
    Row("data import data --as nonsense", "'nonsense' is not one of"),
    Row("demo --seed x", "not a valid integer"),
    Row("lungs-train", "--masks PATH: expected masks that people drew"),
    Row("data lungs --masks nowhere", "nowhere"),
    Row("compare --measure luck", "'luck' is not one of"),
    Row("compare --folds 0", "--folds 0: expected 2 or more"),
    Row("compare --subsets 2", "--subsets 2: all of the reals can be drawn in one way only"),
    # no data, no runs
    Row("gan-train", "cxr data import", empty),
    Row("gan-train --preview-augment", "cxr data import", empty),
    Row("synthesize", "cxr gan-train", empty),
    Row("classify-train", "cxr data import", empty),
    Row("classify-train --find-learning-rate", "cxr data import", empty),
    Row("audit", "cxr classify-train", empty),
    Row("export", "cxr classify-train", empty),
    Row("classify x.png", "cxr classify-train", empty),
    Row("score", "cxr synthesize", empty),
    Row("report", "cxr compare", empty),
    Row("data check", "cxr data import", empty),
    Row("data show", "cxr data import", empty),
    Row("-C nowhere gan-train", "holds no data yet"),
    # data import, and what belongs to it
    Row("data import absent", "absent does not exist"),
    Row("data import data/manifest.csv=covid", "is a file"),
    Row("data import data/images=Not-A-Label", "expected lower-case"),
    Row("data import data/import.json", "of no kind that is known"),
    Row("data import data/images --as nih", "not laid out as nih"),
    Row("data import data/images --split 50/50", "--split 50/50"),
    Row("data import data/images --split 100/0/0", "--split 100/0/0"),
    Row("data import data/images --split a/b/c", "--split a/b/c"),
    Row("data import data/images --split nan/10/20", "--split nan/10/20"),
    Row("data import data/images --folds 1", "--folds 1"),
    Row("data import data/images --folds 5", "begin a new study"),
    Row("data import data/images --label nonsense", "--label nonsense"),
    Row("data import data/images --label flu=flu", "no image has this finding"),
    Row("data import data/images --external absent", "absent does not exist"),
    Row("data import data/images --min-side -1", "--min-side -1"),
    Row("data import data/images --strict", "--strict: 64 files would be left out"),
    Row("data import data/images", "64 hexadecimal digits", with_a_damaged_key),
    Row("data import data/images", "patients.key is gone", without("data/patients.key")),
    Row("data import data/images", "not valid JSON", halved("data/import.json")),
    Row("data phantom --n 0", "expected at least 2"),
    Row("data phantom --n 1000000000000", "1000000000000"),
    Row("data phantom --seed -1", "--seed -1"),
    Row("data check", "split 'exam'", replaced("data/manifest.csv", ",train,", ",exam,")),
    Row("data check", "lacks the column(s) sha256", replaced("data/manifest.csv", "sha256", "sha")),
    Row("data check", "images/covid/", without_an_image),
    # gan-train
    Row("gan-train --steps 0", "--steps 0"),
    Row("gan-train --steps -5", "--steps -5"),
    Row("gan-train --batch-size 1", "--batch-size 1"),
    Row("gan-train --width 0", "--width 0"),
    Row("gan-train --image-size 50", "--image-size 50"),
    Row("gan-train --channels 2", "--channels 2"),
    Row("gan-train --sample-every 0", "--sample-every 0"),
    Row("gan-train --learning-rate nan", "--learning-rate nan"),
    Row("gan-train --learning-rate inf", "--learning-rate inf"),
    Row("gan-train --latent-scale 0", "--latent-scale 0"),
    Row("gan-train --sampling-scale 0", "--sampling-scale 0"),
    Row("gan-train --cooldown 1", "--cooldown 1"),
    Row("gan-train --cooldown nan", "--cooldown nan"),
    Row("gan-train --beta1 1", "--beta1 1"),
    Row("gan-train --beta2 nan", "--beta2 nan"),
    Row("gan-train --penalty nan", "--penalty nan"),
    Row("gan-train --penalty inf", "--penalty inf"),
    Row("gan-train --ema-decay nan", "--ema-decay nan"),
    Row("gan-train --max-minutes nan", "--max-minutes nan"),
    Row("gan-train --max-minutes 0", "--max-minutes 0"),
    Row("gan-train --real-fraction nan", "fraction nan"),
    Row("gan-train --real-fraction 0", "fraction 0"),
    Row("gan-train --real-fraction flu=0.5", "expected one of covid, normal"),
    Row("gan-train --real-fraction covid=0.1", "at least 8"),
    Row("gan-train --device tpu", "--device tpu"),
    Row("gan-train --device cuda:42", "--device cuda:42"),
    Row("gan-train --precision fp64", "'fp64' is not one of"),
    Row("gan-train --compile maybe", "'maybe' is not one of"),
    Row("gan-train --preset dcgan --compile yes", "--compile yes"),
    Row("gan-train --preset dcgan --penalty 0.1", "has no penalty"),
    Row("gan-train --preset covidgan --image-size 64", "112"),
    Row("gan-train --dry-run --width 0", "--width 0"),
    Row("gan-train --resume", "no unfinished gan-train"),
    Row("gan-train --resume 2", "expected a gan-train"),
    Row("gan-train --resume 77", "no run '77'"),
    Row("gan-train --resume 1 --width 8", "--width 4 → 8"),
    Row("gan-train --resume 1 --steps 4", "--steps 8 → 4"),
    Row("gan-train", "at least 8", of_five_images),
    Row("gan-train --resume 1 --steps 20", "truncated", halved(f"{GAN}/checkpoints/last.pt")),
    Row("gan-train --resume 1 --steps 20", "config.json", halved(f"{GAN}/config.json")),
    Row(
        "gan-train --resume 1 --steps 20",
        "journal.jsonl, line",
        replaced(f"{GAN}/journal.jsonl", "step", '"'),
    ),
    # synthesize
    Row("synthesize --n 0", "--n 0"),
    Row("synthesize --n -5", "--n -5"),
    Row("synthesize --n 1000000000000", "--n 1000000000000"),
    Row("synthesize --label flu", "--label flu"),
    Row("synthesize --generator 77", "no run '77'"),
    Row("synthesize --generator 2", "expected a gan-train"),
    Row("synthesize --snapshot 7", "best, last, 4, 8"),
    Row("synthesize --snapshot ²", "best, last, 4, 8"),
    Row("synthesize --resume", "no unfinished synthesize"),
    Row("synthesize --resume 2 --n 30", "--n 24 → 30"),
    Row("synthesize", "truncated", halved(f"{GAN}/generator.pt")),
    # classify-train
    Row("classify-train --steps 0", "--steps 0"),
    Row("classify-train --batch-size 0", "--batch-size 0"),
    Row("classify-train --evaluate-every 0", "--evaluate-every 0"),
    Row("classify-train --learning-rate nan", "--learning-rate nan"),
    Row("classify-train --weight-decay nan", "--weight-decay nan"),
    Row("classify-train --weight-decay inf", "--weight-decay inf"),
    Row("classify-train --label-smoothing 1", "--label-smoothing 1"),
    Row("classify-train --patience -1", "--patience -1"),
    Row("classify-train --image-size 4", "--image-size 4"),
    Row("classify-train --unfreeze 1", "--unfreeze 1"),
    Row("classify-train --features vgg16", "--features vgg16"),
    Row("classify-train --flip yes", "--flip yes"),
    Row("classify-train --arch svm --augment yes", "--arch svm"),
    Row("classify-train --synthetic-share 0.5", "add --with-synthetic"),
    Row("classify-train --with-synthetic --synthetic-share 1.5", "--synthetic-share 1.5"),
    Row("classify-train --with-synthetic --synthetic-until 0.7", "add --synthetic-share"),
    Row("compare --arms real,gan-only --synthetic-share 0.5", "add real+gan to --arms"),
    Row("classify-train --arch vgg16 --weights none", "--weights none"),
    Row("classify-train --arch vgg16 --weights absent.pth", "no such file"),
    Row(
        "classify-train --arch vgg16 --weights data/manifest.csv", "cannot be read as a state dict"
    ),
    Row("classify-train --weights absent.pth", "cnn takes none"),
    Row("classify-train --positive flu", "--positive flu"),
    Row("classify-train --with-synthetic 9", "no run '9'"),
    Row("classify-train --with-synthetic 1", "expected a synthesize"),
    Row("classify-train --with-synthetic --image-size 64", "share one size"),
    Row("classify-train --resume", "no unfinished classify-train"),
    Row("classify-train --resume 1", "expected a classify-train"),
    Row("classify-train --resume 3 --steps 9", "--steps 6 → 9"),
    Row("classify-train --resume 3 --with-synthetic", "was begun without synthetic images"),
    Row("classify-train --find-learning-rate --arch svm", "svm"),
    Row("classify-train --preview-augment --image-size 4", "--image-size 4"),
    Row("classify-train", "needs two", of_one_label),
    Row("classify-train", "no image of", of_five_images),
    Row("classify-train --with-synthetic", "not valid JSON", halved(f"{SYNTHETIC}/config.json")),
    Row(
        "classify-train --with-synthetic",
        "synthetic-000000.png",
        without(f"{SYNTHETIC}/images/covid/synthetic-000000.png"),
    ),
    Row(
        "classify-train --with-synthetic",
        "cannot prove",
        replaced(f"{SYNTHETIC}/config.json", '"trained_on"', '"x"'),
    ),
    Row(
        "classify-train --with-synthetic",
        "leads out of the folder",
        replaced(f"{SYNTHETIC}/manifest.csv", "images/covid", "../covid"),
    ),
    # audit, export, classify
    Row("audit 77", "no run '77'"),
    Row("audit 1", "expected a classify-train"),
    Row("audit --steps 0", "--steps 0"),
    Row("audit --resume", "no unfinished audit"),
    Row("audit", "have changed since", replaced("data/manifest.csv", ",test,", ",validation,")),
    Row("audit", "truncated", halved(f"{CLASSIFIER}/classifier.pt")),
    Row("export 77", "no run '77'"),
    Row("export 2", "expected a classify-train or a gan-train"),
    Row("export", "classifier.pt", without(f"{CLASSIFIER}/classifier.pt")),
    Row("classify absent.png", "absent.png does not exist"),
    Row("classify data/manifest.csv", "none of the 1 images"),
    Row("classify data/arrays", "holds no image"),
    Row("classify data/images --classifier 1", "expected a classify-train"),
    Row("classify data/images --classifier 77", "no run '77'"),
    # score, report, demo
    Row("score --synthetic 77", "no run '77'"),
    Row("score --synthetic 1", "expected a synthesize"),
    Row("score --features nonsense", "--features nonsense"),
    Row("score --features ''", "--features"),
    Row("score --features random --weights x.pth", "take none"),
    Row("score --features vgg16 --weights absent.pth", "no such file"),
    Row("score --dataset-b data/images", "go with --dataset-a"),
    Row("score --dataset-a data/images", "--dataset-a alone"),
    Row("score --dataset-a absent --dataset-b data/images --out out", "no such folder"),
    Row(
        "score --dataset-a absent.npz --dataset-b data/images --features random --out out",
        "no such file",
    ),
    Row(
        f"score --dataset-a data/images --dataset-b {SYNTHETIC}/images --features random --out out",
        "expected one size",
    ),
    Row("report 77", "no run '77'"),
    Row("report 1", "expected a compare"),
    Row("report", "cxr compare"),
    Row("demo --device tpu", "--device tpu"),
    # compare, reproduce, reader-study
    Row("compare", "cxr data import", empty),
    Row("compare", "needs two", of_one_label),
    Row("compare --arms nonsense", "--arms nonsense: expected some of real,"),
    Row("compare --arms real", "nothing to compare"),
    Row("compare --seeds 1", "--seeds 1"),
    Row("compare --generators 0", "--generators 0"),
    Row("compare --draws -1", "--draws -1"),
    Row("compare --real-fractions 2", "--real-fractions 2"),
    Row("compare --real-fractions nan", "--real-fractions nan"),
    Row("compare --real-fractions half", "--real-fractions half"),
    Row("compare --real-fractions flu=0.5", "expected one of covid, normal"),
    Row("compare --real-fractions covid=0.1", "training image(s) of covid, expected 8 or more"),
    Row("compare --real-fractions 0.1 --arms real,real+weights", "expected 8 or more"),
    Row("compare --arms real+weights --balance weights", "--balance weights"),
    Row("compare --arms real+oversampled --arch svm", "--arch svm"),
    Row("compare --synthetic-ratio 0", "--synthetic-ratio 0"),
    Row("compare --synthetic-ratio inf", "--synthetic-ratio inf"),
    Row("compare --budget minutes", "'minutes' is not one of"),
    Row("compare --arms real+classical --arch svm", "--arch svm"),
    Row("compare --synthetic 1", "expected a synthesize"),
    Row("compare --positive flu", "--positive flu"),
    Row("compare --resume", "no unfinished compare"),
    Row("compare", "0002-synthesize", without(f"{SYNTHETIC}/images/covid/synthetic-000000.png")),
    Row("compare --plan", "generator.pt", without(f"{GAN}/generator.pt")),
    Row("compare --arms real+gan@share=2", "--synthetic-share 2.0: expected a share from 0 to 1"),
    Row("compare --arms real+gan@luck=2", "real+gan takes @balance=…, @share=…"),
    Row("compare --arms real+classical --synthetic-weight 0.5", "none of these arms mixes"),
    Row("classify-train --synthetic-keep 0.5", "there is no synthetic set; add --with-synthetic"),
    Row("study nowhere.md", "nowhere.md"),
    Row("study data/manifest.csv", "expected one block between ```toml and ```, found 0"),
    Row("reproduce nonsense", "'nonsense' is not 'covidgan'"),
    Row("reproduce covidgan --scale 0", "--scale 0"),
    Row("reproduce covidgan --scale nan", "--scale nan"),
    Row("reproduce covidgan --seeds 1 --weights absent.pth", "no such file"),
    Row("reproduce covidgan", "cxr data import", empty),
    Row("reader-study --n 51", "--n 51"),
    Row("reader-study --n 0", "--n 0"),
    Row("reader-study --n 5000", "--n 5000"),
    Row("reader-study --synthetic 77", "no run '77'"),
    Row("reader-study --score absent.json", "absent.json"),
    Row("reader-study --score data/import.json", "import.json"),
    Row("reader-study", "cxr synthesize", empty),
    # what was damaged
    Row("synthesize", "generator.pt", with_a_foreign_generator),
    Row("gan-train --image-size 32", "damaged or truncated", with_a_damaged_image),
    Row("classify-train", "damaged or truncated", with_a_damaged_image),
]


def file_hashes(folder: Path) -> dict[str, str]:
    """Return the hash of every file, and every folder, caches left out."""
    return {
        str(path.relative_to(folder)): (
            hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else "a folder"
        )
        for path in sorted(folder.rglob("*"))
        if not set(CACHES) & set(path.relative_to(folder).parts)
    }


@pytest.fixture(scope="module")
def unspoilt(
    tiny_study: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, dict[str, str]]:
    """A study that no row may change, and none does; and the hashes of its files."""
    study = Path(shutil.copytree(tiny_study, tmp_path_factory.mktemp("bad input") / "study"))
    return study, file_hashes(study)


@pytest.mark.parametrize(
    "row", ROWS, ids=[f"{row.command}{' spoilt' if row.spoil else ''}" for row in ROWS]
)
def test_one_line_and_nothing_changed(
    row: Row,
    unspoilt: tuple[Path, dict[str, str]],
    request: pytest.FixtureRequest,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    folder, before = unspoilt
    if row.spoil:
        folder = request.getfixturevalue("study")
        row.spoil(folder)
        before = file_hashes(folder)
    monkeypatch.chdir(folder)
    result = cxr(*shlex.split(row.command), folder=folder)
    assert result.exit_code == 2, result.output
    (line,) = result.stderr.strip().splitlines()
    assert line.startswith("cxr: ")
    assert row.message in line
    assert "Traceback" not in line
    assert not result.stdout
    assert file_hashes(folder) == before


def test_every_command_has_rows() -> None:
    words = [
        [word for word in shlex.split(row.command) if not word.startswith("-")] for row in ROWS
    ]
    tried = {" ".join(row[:length]) for row in words for length in (1, 2)}
    commands = set(main.commands) | {f"data {name}" for name in data.commands}
    takes_nothing = {"data sources"}
    assert commands - tried <= {"data"} | takes_nothing


@pytest.fixture
def public_folder() -> Iterator[Path]:
    """A folder that other users reach; pytest's own are closed by every session that begins."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        yield Path(folder)


@pytest.mark.skipif(
    os.geteuid() == 0 and not shutil.which("setpriv"),
    reason="root reads everything, and setpriv is not here to become somebody else",
)
@pytest.mark.parametrize("closed", ["films", "films/covid"])
def test_a_folder_that_cannot_be_read_is_not_taken_for_an_empty_one(
    phantom_study: Path, public_folder: Path, closed: str
) -> None:
    films, study = public_folder / "films", public_folder / "study"
    shutil.copytree(phantom_study / "data" / "images", films)
    study.mkdir()
    study.chmod(0o777)
    (public_folder / closed).chmod(0o000)
    done = import_as_another_user(films, study)
    (public_folder / closed).chmod(0o755)
    if any(word in done.stderr for word in ("setpriv", "No module named", "can't open")):
        pytest.skip("another user cannot run this Python here")
    assert done.returncode == 2, done.stderr
    (line,) = done.stderr.strip().splitlines()
    assert "no permission" in line
    assert closed in line
    assert not list(study.iterdir())


def import_as_another_user(films: Path, study: Path) -> subprocess.CompletedProcess[str]:
    """Run `cxr data import` as this user, or as nobody where this one is root."""
    nobody = ("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "--inh-caps=-all")
    return subprocess.run(
        [
            *(nobody if os.geteuid() == 0 else ()),
            *(sys.executable, "-m", "pipelines.cli", "-C", str(study)),
            *("data", "import", str(films)),
        ],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"},
    )
