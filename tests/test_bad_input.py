"""Every command, given what it cannot use: exit code 2, one line on standard error that says what is wrong, and nothing changed on disk.

To add a row: the command as it would be typed, in the folder of a study with runs 1 (gan-train), 2 (synthesize) and 3 (classify-train), and a part of
the line that is expected. Where the study has to be spoilt before, a third entry does it, to a copy.
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

import pytest

from pipelines.cli import main
from pipelines.cli.data import data
from pipelines.study.manifest import read_manifest
from tests.conftest import ROOT, cxr

CACHES = (
    "arrays",
    "features",
)  # made anew whenever they are missing; what is in them is nobody's work


def empty(study: Path) -> None:
    shutil.rmtree(study)
    study.mkdir()


def one_class(study: Path) -> None:
    path = study / "data" / "manifest.csv"
    path.write_text(
        "".join(
            line for line in path.read_text().splitlines(keepends=True) if ",covid," not in line
        )
    )


def few(study: Path) -> None:
    path = study / "data" / "manifest.csv"
    path.write_text("".join(path.read_text().splitlines(keepends=True)[:6]))


def gone(place: str) -> Callable[[Path], None]:
    return lambda study: (study / place).unlink()


def halved(place: str) -> Callable[[Path], None]:
    return lambda study: (study / place).write_bytes(
        (study / place).read_bytes()[: (study / place).stat().st_size // 2]
    )


def replaced(place: str, old: str, new: str) -> Callable[[Path], None]:
    return lambda study: (study / place).write_text((study / place).read_text().replace(old, new))


def no_image(study: Path) -> None:
    shutil.rmtree(study / "data" / "arrays", ignore_errors=True)
    (study / "data" / read_manifest(study / "data" / "manifest.csv")[0].file_name).unlink()


def foreign(study: Path) -> None:
    (study / GAN / "generator.pt").write_bytes(b"PK\x03\x04 something else")


def damaged_image(study: Path) -> None:
    shutil.rmtree(study / "data" / "arrays", ignore_errors=True)
    path = next((study / "data" / "images" / "covid").iterdir())
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


GAN, SET, CLASSIFIER = "runs/0001-gan-train", "runs/0002-synthesize", "runs/0003-classify-train"
ROWS: list[tuple] = [
    # what click sees
    ("--nonsense", "No such option"),
    ("nonsense", "No such command 'nonsense'"),
    ("data nonsense", "data --help"),
    ("data import", "Missing argument"),
    ("gan-train --nonsense", "No such option '--nonsense'"),
    ("gan-train extra", "unexpected extra argument"),
    ("gan-train --steps many", "'many' is not a valid integer; see: "),
    ("gan-train --preset best", "'best' is not one of"),
    ("gan-train -C data/manifest.csv", "is a file"),
    ("synthesize --n", "requires an argument"),
    ("synthesize --n nan", "not a valid integer"),
    ("classify", "Missing argument"),
    ("classify-train --augment perhaps", "not a valid boolean"),
    ("export --format exe", "'exe' is not one of"),
    ("data import data --as nonsense", "'nonsense' is not one of"),
    ("demo --seed x", "not a valid integer"),
    # no data, no runs
    ("gan-train", "cxr data import", empty),
    ("gan-train --preview-augment", "cxr data import", empty),
    ("synthesize", "cxr gan-train", empty),
    ("classify-train", "cxr data import", empty),
    ("classify-train --find-learning-rate", "cxr data import", empty),
    ("audit", "cxr classify-train", empty),
    ("export", "cxr classify-train", empty),
    ("classify x.png", "cxr classify-train", empty),
    ("score", "cxr synthesize", empty),
    ("report", "cxr compare", empty),
    ("data check", "cxr data import", empty),
    ("data show", "cxr data import", empty),
    ("-C nowhere gan-train", "holds no data yet"),
    # data import, and what belongs to it
    ("data import absent", "absent does not exist"),
    ("data import data/manifest.csv=covid", "is a file"),
    ("data import data/images=Not-A-Label", "expected lower-case"),
    ("data import data/import.json", "of no kind that is known"),
    ("data import data/images --as nih", "not laid out as nih"),
    ("data import data/images --split 50/50", "--split 50/50"),
    ("data import data/images --split 100/0/0", "--split 100/0/0"),
    ("data import data/images --split a/b/c", "--split a/b/c"),
    ("data import data/images --split nan/10/20", "--split nan/10/20"),
    ("data import data/images --folds 1", "--folds 1"),
    ("data import data/images --folds 5", "begin a new study"),
    ("data import data/images --label nonsense", "--label nonsense"),
    ("data import data/images --label flu=flu", "no image has this finding"),
    ("data import data/images --external absent", "absent does not exist"),
    ("data import data/images --min-side -1", "--min-side -1"),
    ("data import data/images --strict", "--strict: 64 files would be left out"),
    ("data import data/images", "64 hexadecimal digits", replaced("data/patients.key", "0", "z")),
    ("data import data/images", "patients.key is gone", gone("data/patients.key")),
    ("data import data/images", "not valid JSON", halved("data/import.json")),
    ("data phantom --n 0", "expected at least 2"),
    ("data phantom --n 1000000000000", "1000000000000"),
    ("data phantom --seed -1", "--seed -1"),
    ("data check", "split 'exam'", replaced("data/manifest.csv", ",train,", ",exam,")),
    ("data check", "lacks the column(s) sha256", replaced("data/manifest.csv", "sha256", "sha")),
    ("data check", "images/covid/", no_image),
    # gan-train
    ("gan-train --steps 0", "--steps 0"),
    ("gan-train --steps -5", "--steps -5"),
    ("gan-train --batch-size 1", "--batch-size 1"),
    ("gan-train --width 0", "--width 0"),
    ("gan-train --image-size 50", "--image-size 50"),
    ("gan-train --channels 2", "--channels 2"),
    ("gan-train --sample-every 0", "--sample-every 0"),
    ("gan-train --learning-rate nan", "--learning-rate nan"),
    ("gan-train --learning-rate inf", "--learning-rate inf"),
    ("gan-train --latent-scale 0", "--latent-scale 0"),
    ("gan-train --sampling-scale 0", "--sampling-scale 0"),
    ("gan-train --cooldown 1", "--cooldown 1"),
    ("gan-train --cooldown nan", "--cooldown nan"),
    ("gan-train --beta1 1", "--beta1 1"),
    ("gan-train --beta2 nan", "--beta2 nan"),
    ("gan-train --penalty nan", "--penalty nan"),
    ("gan-train --penalty inf", "--penalty inf"),
    ("gan-train --ema-decay nan", "--ema-decay nan"),
    ("gan-train --max-minutes nan", "--max-minutes nan"),
    ("gan-train --max-minutes 0", "--max-minutes 0"),
    ("gan-train --real-fraction nan", "fraction nan"),
    ("gan-train --real-fraction 0", "fraction 0"),
    ("gan-train --device tpu", "--device tpu"),
    ("gan-train --device cuda:42", "--device cuda:42"),
    ("gan-train --precision fp64", "'fp64' is not one of"),
    ("gan-train --preset dcgan --penalty 0.1", "has no penalty"),
    ("gan-train --preset covidgan --image-size 64", "112"),
    ("gan-train --dry-run --width 0", "--width 0"),
    ("gan-train --resume", "no unfinished gan-train"),
    ("gan-train --resume 2", "expected a gan-train"),
    ("gan-train --resume 77", "no run '77'"),
    ("gan-train --resume 1 --width 8", "--width 4 → 8"),
    ("gan-train --resume 1 --steps 4", "--steps 8 → 4"),
    ("gan-train", "at least 8", few),
    ("gan-train --resume 1 --steps 20", "truncated", halved(f"{GAN}/checkpoints/last.pt")),
    ("gan-train --resume 1 --steps 20", "config.json", halved(f"{GAN}/config.json")),
    (
        "gan-train --resume 1 --steps 20",
        "journal.jsonl, line",
        replaced(f"{GAN}/journal.jsonl", "step", '"'),
    ),
    # synthesize
    ("synthesize --n 0", "--n 0"),
    ("synthesize --n -5", "--n -5"),
    ("synthesize --n 1000000000000", "--n 1000000000000"),
    ("synthesize --label flu", "--label flu"),
    ("synthesize --generator 77", "no run '77'"),
    ("synthesize --generator 2", "expected a gan-train"),
    ("synthesize --snapshot 7", "best, last, 4, 8"),
    ("synthesize --snapshot ²", "best, last, 4, 8"),
    ("synthesize --resume", "no unfinished synthesize"),
    ("synthesize --resume 2 --n 30", "--n 24 → 30"),
    ("synthesize", "truncated", halved(f"{GAN}/generator.pt")),
    # classify-train
    ("classify-train --steps 0", "--steps 0"),
    ("classify-train --batch-size 0", "--batch-size 0"),
    ("classify-train --evaluate-every 0", "--evaluate-every 0"),
    ("classify-train --learning-rate nan", "--learning-rate nan"),
    ("classify-train --weight-decay nan", "--weight-decay nan"),
    ("classify-train --weight-decay inf", "--weight-decay inf"),
    ("classify-train --label-smoothing 1", "--label-smoothing 1"),
    ("classify-train --patience -1", "--patience -1"),
    ("classify-train --image-size 4", "--image-size 4"),
    ("classify-train --unfreeze 1", "--unfreeze 1"),
    ("classify-train --features vgg16", "--features vgg16"),
    ("classify-train --flip yes", "--flip yes"),
    ("classify-train --arch svm --augment yes", "--arch svm"),
    ("classify-train --arch vgg16 --weights none", "--weights none"),
    ("classify-train --arch vgg16 --weights absent.pth", "no such file"),
    ("classify-train --arch vgg16 --weights data/manifest.csv", "cannot be read as a state dict"),
    ("classify-train --weights absent.pth", "cnn takes none"),
    ("classify-train --positive flu", "--positive flu"),
    ("classify-train --with-synthetic 9", "no run '9'"),
    ("classify-train --with-synthetic 1", "expected a synthesize"),
    ("classify-train --with-synthetic --image-size 64", "share one size"),
    ("classify-train --resume", "no unfinished classify-train"),
    ("classify-train --resume 1", "expected a classify-train"),
    ("classify-train --resume 3 --steps 9", "--steps 6 → 9"),
    ("classify-train --resume 3 --with-synthetic", "→"),
    ("classify-train --find-learning-rate --arch svm", "svm"),
    ("classify-train --preview-augment --image-size 4", "--image-size 4"),
    ("classify-train", "needs two", one_class),
    ("classify-train", "no image of", few),
    ("classify-train --with-synthetic", "not valid JSON", halved(f"{SET}/config.json")),
    (
        "classify-train --with-synthetic",
        "synthetic-000000.png",
        gone(f"{SET}/images/covid/synthetic-000000.png"),
    ),
    (
        "classify-train --with-synthetic",
        "cannot prove",
        replaced(f"{SET}/config.json", '"trained_on"', '"x"'),
    ),
    (
        "classify-train --with-synthetic",
        "leads out of the folder",
        replaced(f"{SET}/manifest.csv", "images/covid", "../covid"),
    ),
    # audit, export, classify
    ("audit 77", "no run '77'"),
    ("audit 1", "expected a classify-train"),
    ("audit --steps 0", "--steps 0"),
    ("audit --resume", "no unfinished audit"),
    ("audit", "have changed since", replaced("data/manifest.csv", ",test,", ",validation,")),
    ("audit", "truncated", halved(f"{CLASSIFIER}/classifier.pt")),
    ("export 77", "no run '77'"),
    ("export 2", "expected a classify-train or a gan-train"),
    ("export", "classifier.pt", gone(f"{CLASSIFIER}/classifier.pt")),
    ("classify absent.png", "absent.png does not exist"),
    ("classify data/manifest.csv", "none of the 1 images"),
    ("classify data/arrays", "holds no image"),
    ("classify data/images --classifier 1", "expected a classify-train"),
    ("classify data/images --classifier 77", "no run '77'"),
    # score, report, demo
    ("score --synthetic 77", "no run '77'"),
    ("score --synthetic 1", "expected a synthesize"),
    ("score --features nonsense", "--features nonsense"),
    ("score --features ''", "--features"),
    ("score --features random --weights x.pth", "take none"),
    ("score --features vgg16 --weights absent.pth", "no such file"),
    ("score --dataset-b data/images", "go with --dataset-a"),
    ("score --dataset-a data/images", "--dataset-a alone"),
    ("score --dataset-a absent --dataset-b data/images --out out", "no such folder"),
    (
        "score --dataset-a absent.npz --dataset-b data/images --features random --out out",
        "no such file",
    ),
    (
        f"score --dataset-a data/images --dataset-b {SET}/images --features random --out out",
        "expected one size",
    ),
    ("report 77", "no run '77'"),
    ("report 1", "expected a compare"),
    ("report", "cxr compare"),
    ("demo --device tpu", "--device tpu"),
    # compare, reproduce, reader-study
    ("compare", "cxr data import", empty),
    ("compare", "needs two", one_class),
    ("compare --arms nonsense", "--arms nonsense: expected some of real,"),
    ("compare --arms real", "nothing to compare"),
    ("compare --seeds 1", "--seeds 1"),
    ("compare --generators 0", "--generators 0"),
    ("compare --draws -1", "--draws -1"),
    ("compare --real-fractions 2", "--real-fractions 2"),
    ("compare --real-fractions nan", "--real-fractions nan"),
    ("compare --real-fractions half", "--real-fractions half"),
    ("compare --synthetic-ratio 0", "--synthetic-ratio 0"),
    ("compare --synthetic-ratio inf", "--synthetic-ratio inf"),
    ("compare --budget minutes", "'minutes' is not one of"),
    ("compare --arms real+classical --arch svm", "--arch svm"),
    ("compare --synthetic 1", "expected a synthesize"),
    ("compare --positive flu", "--positive flu"),
    ("compare --resume", "no unfinished compare"),
    ("compare", "0002-synthesize", gone(f"{SET}/images/covid/synthetic-000000.png")),
    ("compare --plan", "generator.pt", gone(f"{GAN}/generator.pt")),
    ("reproduce nonsense", "'nonsense' is not 'covidgan'"),
    ("reproduce covidgan --scale 0", "--scale 0"),
    ("reproduce covidgan --scale nan", "--scale nan"),
    ("reproduce covidgan --seeds 1 --weights absent.pth", "no such file"),
    ("reproduce covidgan", "cxr data import", empty),
    ("reader-study --n 51", "--n 51"),
    ("reader-study --n 0", "--n 0"),
    ("reader-study --n 5000", "--n 5000"),
    ("reader-study --synthetic 77", "no run '77'"),
    ("reader-study --score absent.json", "absent.json"),
    ("reader-study --score data/import.json", "import.json"),
    ("reader-study", "cxr synthesize", empty),
    # what was damaged
    ("synthesize", "generator.pt", foreign),
    ("gan-train --image-size 32", "damaged or truncated", damaged_image),
    ("classify-train", "damaged or truncated", damaged_image),
]


def contents(folder: Path) -> dict[str, str]:
    """The hash of every file, and every folder, but for caches."""
    found = {}
    for path in sorted(folder.rglob("*")):
        if not set(CACHES) & set(path.relative_to(folder).parts):
            found[str(path.relative_to(folder))] = (
                hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else "a folder"
            )
    return found


@pytest.fixture(scope="module")
def whole(tiny_study: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A study that no row may change, and none does."""
    return Path(shutil.copytree(tiny_study, tmp_path_factory.mktemp("bad input") / "study"))


@pytest.mark.parametrize("row", ROWS, ids=[f"{row[0]}{' spoilt' * (len(row) > 2)}" for row in ROWS])
def test_one_line_and_nothing_changed(
    row: tuple, whole: Path, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    command, message, *spoil = row
    folder = request.getfixturevalue("study") if spoil else whole
    for change in spoil:
        change(folder)
    monkeypatch.chdir(folder)
    before = contents(folder)
    result = cxr(*shlex.split(command), folder=folder)
    assert result.exit_code == 2, result.output
    (line,) = result.stderr.strip().splitlines()
    assert line.startswith("cxr: ") and message in line and "Traceback" not in line, line
    assert not result.stdout
    assert contents(folder) == before


def test_every_command_has_rows() -> None:
    walked = {
        tuple(word for word in shlex.split(row[0]) if not word.startswith("-"))[:2] for row in ROWS
    }
    named = {words[0] for words in walked if words} | {" ".join(words) for words in walked}
    left_out = {"data", "data sources"}  # the last takes nothing
    commands = set(main.commands) | {f"data {name}" for name in data.commands}
    assert commands - named <= left_out


@pytest.fixture
def everybodys() -> Iterator[Path]:
    """A folder that other users reach; pytest's own are closed again by every session that begins."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        yield Path(folder)


@pytest.mark.skipif(
    os.geteuid() == 0 and not shutil.which("setpriv"),
    reason="root reads everything, and setpriv is not here to become somebody else",
)
@pytest.mark.parametrize("place", ["films", "films/covid"])
def test_a_folder_that_cannot_be_read_is_not_taken_for_an_empty_one(
    phantom_study: Path, everybodys: Path, place: str
) -> None:
    shutil.copytree(phantom_study / "data" / "images", everybodys / "films")
    (everybodys / "study").mkdir()
    (everybodys / "study").chmod(0o777)
    (everybodys / place).chmod(0o000)
    drop = (
        ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "--inh-caps=-all"]
        if os.geteuid() == 0
        else []
    )
    command = [
        *drop,
        sys.executable,
        "-m",
        "pipelines.cli",
        "-C",
        str(everybodys / "study"),
        "data",
        "import",
        str(everybodys / "films"),
    ]
    done = subprocess.run(
        command,
        cwd=ROOT,
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"},
    )
    (everybodys / place).chmod(0o755)
    if "setpriv" in done.stderr or "No module named" in done.stderr or "can't open" in done.stderr:
        pytest.skip("another user cannot run this Python here")
    assert (
        done.returncode == 2
        and "no permission" in done.stderr
        and place in done.stderr
        and len(done.stderr.strip().splitlines()) == 1
    ), done.stderr
    assert not list((everybodys / "study").iterdir())
