"""Copies of the training images are caught and fresh images are not.

And what --reject-copies leaves out, and that it changes nothing else.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from scipy.spatial.distance import cdist
from scipy.stats import beta
from sklearn.metrics import roc_auc_score

from pipelines.data.phantom import draw, list_cases
from pipelines.metrics.confidence_intervals import estimate_auc, estimate_share
from pipelines.metrics.nearest import (
    CopyGuard,
    copy_threshold,
    distances_to_strangers,
    nearest,
    persons,
    thumbnails,
)
from pipelines.metrics.nearness import Nearness, measure_nearness
from pipelines.metrics.privacy import measure_privacy
from pipelines.study.image_io import write_gray
from pipelines.study.manifest import Row
from pipelines.study.split import Split
from pipelines.study.tables import read_table
from runtime.files import read_json
from tests.conftest import cxr, ok
from tests.support.torchrun_pair import TorchrunPair

SIZE = 64
CLASSES = ["covid", "normal"]


@pytest.fixture(scope="module")
def films() -> dict[str, Split]:
    """Phantoms of 64 px in three sets of patients: to train on, to hold out, and fresh ones."""
    drawn = list_cases(260, 3)
    images, labels = (
        np.stack([draw(case, 3, SIZE) for case in drawn]),
        np.array([CLASSES.index(case.label) for case in drawn]),
    )
    patients = np.array([str(case.patient) for case in drawn])
    order = {
        patient: place
        for place, patient in enumerate(np.random.default_rng(0).permutation(np.unique(patients)))
    }
    part = np.array([order[patient] % 5 for patient in patients])
    chosen = {"train": part < 2, "held_out": (part == 2) | (part == 3), "fresh": part == 4}
    return {
        name: Split(
            images[of],
            labels[of],
            [f"{name}/{place}" for place in range(of.sum())],
            patients[of].tolist(),
        )
        for name, of in chosen.items()
    }


def measured(films: dict[str, Split], images: np.ndarray, labels: np.ndarray) -> Nearness:
    """The pixel tests of a synthetic set of these images."""
    synthetic = Split(
        images, labels, [""] * len(images), [f"synthetic {place}" for place in range(len(images))]
    )
    sets = {"train": films["train"], "held_out": films["held_out"], "synthetic": synthetic}
    return measure_nearness(sets, {name: thumbnails(split.images) for name, split in sets.items()})[
        0
    ]


@settings(max_examples=30, deadline=None)
@given(
    seed=st.integers(0, 1000),
    n=st.integers(1, 40),
    m=st.integers(1, 40),
    d=st.integers(1, 20),
    groups=st.integers(1, 5),
)
def test_the_search_finds_what_scipy_finds(seed: int, n: int, m: int, d: int, groups: int) -> None:
    rng = np.random.default_rng(seed)
    queries, references = rng.normal(size=(n, d)) + 100, rng.normal(size=(m, d)) + 100
    queries[: min(n, m) // 2] = references[: min(n, m) // 2]
    of = rng.integers(groups, size=n), rng.integers(groups, size=m)
    every = cdist(queries, references)
    found = nearest(queries, references)
    assert np.allclose(found.distance, every.min(axis=1), atol=1e-9)
    assert np.allclose(every[np.arange(n), found.index], found.distance, atol=1e-9)
    every[of[0][:, None] == of[1][None]] = np.inf
    assert np.allclose(nearest(queries, references, of).distance, every.min(axis=1), atol=1e-9)


def test_the_search_in_blocks() -> None:
    rng = np.random.default_rng(0)
    queries, references = rng.normal(size=(1500, 3)), rng.normal(size=(9000, 3)).astype(np.float32)
    assert np.array_equal(
        nearest(queries, references).index, cdist(queries, references).argmin(axis=1)
    )


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 1000), levels=st.integers(2, 30))
def test_auc_and_shares_are_the_textbook_ones(seed: int, levels: int) -> None:
    rng = np.random.default_rng(seed)
    positives, scores = np.arange(40) % 3 == 0, rng.integers(levels, size=40)
    found = estimate_auc(positives, scores, [str(place // 2) for place in range(40)])
    assert found.value == pytest.approx(roc_auc_score(positives, scores))
    assert found.low <= found.value <= found.high
    count = levels % 20 + 1
    exact = estimate_share(count, 40)
    assert (exact.low, exact.high) == pytest.approx(
        (beta.ppf(0.025, count, 41 - count), beta.ppf(0.975, count + 1, 40 - count))
    )


def test_thumbnails_do_not_see_brightness_and_contrast(films: dict[str, Split]) -> None:
    image = films["train"].images[:1] // 2
    alike = thumbnails(np.concatenate([image, image + 60, image * 2, films["train"].images[1:2]]))
    distances = cdist(alike, alike)[0]
    assert distances[1] < 1e-9
    assert distances[2] < 0.02 < 0.2 < distances[3]
    small = image.reshape(16, 4, 16, 4).mean(axis=(1, 3)).ravel()
    other = films["train"].images[1].reshape(16, 4, 16, 4).mean(axis=(1, 3)).ravel()
    rms = np.sqrt(
        np.mean(((small - small.mean()) / small.std() - (other - other.mean()) / other.std()) ** 2)
    )
    assert distances[3] == pytest.approx(rms)
    assert not thumbnails(np.full((1, 32, 32), 7, np.uint8)).any()  # a blank image


def test_fresh_reals_are_no_copies(films: dict[str, Split]) -> None:
    found = measured(films, films["fresh"].images, films["fresh"].labels)
    assert found.copies.share.value < 0.1
    assert found.copies.p > 0.01
    assert found.favour.p > 0.01
    assert abs(found.favour.share - found.favour.by_lot) < 0.2
    assert abs(found.closeness.c_t) < 3
    low, high = found.membership.low, found.membership.high
    assert low < 0.5 < high
    privacy = found.privacy
    assert privacy.identified.low < 0.05 < privacy.identified.high
    assert privacy.authentic.low < privacy.reals_authentic.value < privacy.authentic.high
    assert privacy.distance.low < privacy.reals_distance.value < privacy.distance.high


def test_copies_are_caught(films: dict[str, Split]) -> None:
    train = films["train"]
    found = measured(films, train.images, train.labels)
    assert found.copies.share.value == 1
    assert found.copies.p < 1e-20
    assert found.copies.reals_share.value < 0.03
    assert found.favour.share == 1
    assert found.favour.p < 0.001
    assert found.closeness.c_t < -5
    assert found.closeness.p < 1e-10
    assert found.closeness.nearer.value > 0.99
    assert found.membership.value == 1
    assert found.privacy.authentic.value == 0
    assert found.privacy.distance.value == 0
    assert found.privacy.identified.value == 1


def test_what_is_caught_of_changed_copies(films: dict[str, Split]) -> None:
    """Brighter, of more contrast, noisy or shifted by one pixel: one by one.

    Shifted by two: not one by one, but together.
    """
    train, rng = films["train"], np.random.default_rng(0)
    for changed in (
        (train.images.astype(int) + 20).clip(0, 255).astype(np.uint8),
        (train.images * 0.8).astype(np.uint8),
        (train.images + rng.normal(0, 10, train.images.shape)).clip(0, 255).astype(np.uint8),
        np.roll(train.images, 1, axis=2),
    ):
        found = measured(films, changed, train.labels)
        assert found.copies.share.value > 0.5
        assert found.copies.p < 1e-6
        assert found.favour.p < 0.01
    found = measured(films, np.roll(train.images, 2, axis=2), train.labels)
    assert found.copies.share.value < 0.5
    assert found.favour.p < 0.01


def test_a_few_copies_among_many_fresh_images(films: dict[str, Split]) -> None:
    fresh, train = films["fresh"], films["train"]
    found = measured(
        films,
        np.concatenate([fresh.images, train.images[:12]]),
        np.concatenate([fresh.labels, train.labels[:12]]),
    )
    assert 12 <= found.copies.count <= 12 + 0.1 * len(fresh.labels)
    assert found.copies.p < 0.01
    assert found.copies.share.low > found.copies.reals_share.value


def test_privacy_by_hand() -> None:
    """Two training patients on a line, two synthetic images: one at a patient's, one far off."""
    places = np.arange(40) * 10.0  # of held-out patients, one image each
    reals = np.concatenate([[1000, 1003, 1100], -places])[:, None]
    is_training = np.arange(len(reals)) < 3
    patients = np.array(["a", "a", "b", *(f"held out {place}" for place in range(40))])
    synthetic = np.array([[1001.0], [2000.0]])
    train = reals[is_training]
    privacy = measure_privacy(
        nearest(synthetic, train),
        nearest(reals[~is_training], train),
        distances_to_strangers(reals, is_training, patients.tolist())[is_training],
        nearest(reals, synthetic).distance,
        is_training,
        patients,
    )
    # 1001 is at 1 of 1000, whose nearest stranger is at 100; 2000 is at 900 of 1100, whose is at 97
    assert (privacy.authentic.value, privacy.authentic.n) == (0.5, 2)
    assert privacy.distance.value == pytest.approx((1 + 900) / 2)
    assert privacy.reals_distance.value == pytest.approx(np.mean(1000 + places))
    # Two of 40 strangers, at 1001 and 1011, are within the threshold, and so are both patients.
    assert (privacy.identified.value, privacy.identified.n) == (1, 2)
    assert privacy.reals_identified.value == pytest.approx(2 / 40)


def test_films_of_one_patient_do_not_set_the_threshold(films: dict[str, Split]) -> None:
    train = films["train"]
    reals, of_training = (
        thumbnails(np.concatenate([train.images, train.images[:20]])),
        np.arange(len(train.labels) + 20) < len(train.labels),
    )
    assert copy_threshold(reals, of_training, train.patients + train.patients[:20]) > 0.05
    assert (
        copy_threshold(
            reals, of_training, train.patients + [f"another {place}" for place in range(20)]
        )
        == 0
    )
    with pytest.raises(ValueError, match="one patient"):
        copy_threshold(reals, of_training, ["p"] * len(reals))


def test_patients_who_share_a_film_are_one_person() -> None:
    """As near-duplicates stand in a manifest: under two patient numbers, in one split."""
    rng = np.random.default_rng(0)
    hashes = [rng.bytes(32) for _ in range(6)]
    hashes[4] = bytes([hashes[1][0] ^ 0b111]) + hashes[1][1:]  # three bits of image 1 changed
    patients = ["a", "b", "a", "c", "d", "d"]
    rows = [
        Row(
            file_name=f"{place}.png",
            label="covid",
            patient=patient,
            split="train",
            fold=None,
            source="",
            view="",
            sha256=f"{place}",
            near_hash=hashes[place].hex() if place != 3 else "",
            width=9,
            height=9,
        )
        for place, patient in enumerate(patients)
    ]
    found = persons(rows)
    assert found[0] == found[2]
    assert found[1] == found[4] == found[5]
    assert len(set(found)) == 3


def test_the_guard(films: dict[str, Split]) -> None:
    train = thumbnails(films["train"].images)
    guard = CopyGuard(
        train, copy_threshold(train, np.ones(len(train), bool), films["train"].patients)
    )
    assert guard.copies(films["train"].images).all()
    assert guard.copies(films["fresh"].images).mean() < 0.1


def manifest(run: Path) -> dict[int, dict[str, str]]:
    return {
        int(row["index"]): row
        for row in read_table(run / "manifest.csv", ["file_name", "label", "index"])
    }


def plant(study: Path, run: Path, index: int, number: int) -> None:
    """Make the study's training image `number` of that label a picture of this sample."""
    row = manifest(run)[index]
    names = [
        one["file_name"]
        for one in read_table(study / "data" / "manifest.csv", ["file_name", "label", "split"])
        if (one["label"], one["split"]) == (row["label"], "train")
    ]
    write_gray(study / "data" / names[number], np.asarray(Image.open(run / row["file_name"])))
    shutil.rmtree(study / "data" / "arrays", ignore_errors=True)


def test_planted_copies_are_left_out(study: Path) -> None:
    """Two samples, one of each class, become training images.

    They are not written, further ones are, and all others are as ever.
    """
    runs = study / "runs"
    before = manifest(runs / "0002-synthesize")
    plant(study, runs / "0002-synthesize", 4, 0)
    plant(study, runs / "0002-synthesize", 7, 0)
    output = ok(cxr("synthesize", "--n", 24, "--reject-copies", folder=study))
    run = runs / "0004-synthesize"
    after, result = manifest(run), json.loads((run / "result.json").read_text())
    gone = sorted(set(before) - set(after))
    assert {4, 7} <= set(gone)
    assert len(gone) < 8
    assert len(after) == 24
    assert result["images"] == {"covid": 12, "normal": 12}
    assert list(after) == sorted(after)
    assert [index for index in after if index < 24] == [
        index for index in range(24) if index not in gone
    ]
    for index in set(before) & set(after):
        assert before[index]["label"] == after[index]["label"]
        assert (runs / "0002-synthesize" / before[index]["file_name"]).read_bytes() == (
            run / after[index]["file_name"]
        ).read_bytes()
    assert all(after[index]["label"] == CLASSES[index % 2] for index in after)
    assert not [index for index in gone if list(run.rglob(f"synthetic-{index:06d}.png"))]
    assert sum(result["dropped"].values()) >= len(gone)
    assert "drawn and not written" in output
    written = {
        path.relative_to(run): path.read_bytes() for path in run.rglob("*") if path.is_file()
    }

    for name in (
        "result.json",
        "manifest.csv",
        "samples.png",
        after[0]["file_name"],
        after[max(after)]["file_name"],
    ):
        (run / name).unlink()
    ok(cxr("synthesize", "--resume", run.name, "--reject-copies", folder=study))
    assert {
        path.relative_to(run): path.read_bytes() for path in run.rglob("*") if path.is_file()
    } == written

    (runs / "0002-synthesize" / "result.json").unlink()
    refused = cxr("synthesize", "--resume", "2", "--reject-copies", folder=study)
    assert refused.exit_code == 2
    assert "0002-synthesize cannot go on with other options (--reject-copies" in refused.output


def test_without_copies_it_is_the_same_set(study: Path) -> None:
    ok(cxr("synthesize", "--n", 6, folder=study))
    ok(cxr("synthesize", "--n", 6, "--reject-copies", "--seed", 0, folder=study))
    plain, guarded = study / "runs" / "0004-synthesize", study / "runs" / "0005-synthesize"
    dropped = json.loads((guarded / "result.json").read_text())["dropped"]
    if not dropped:
        assert (plain / "manifest.csv").read_bytes() == (guarded / "manifest.csv").read_bytes()
        assert (plain / "samples.png").read_bytes() == (guarded / "samples.png").read_bytes()
    assert read_json(plain / "config.json")["reject_copies"] is False


def test_it_gives_up(study: Path) -> None:
    """Of two images asked for, twenty samples are drawn; all being training images is an error."""
    for index in range(20):
        plant(study, study / "runs" / "0002-synthesize", index, index // 2)
    failed = cxr("synthesize", "--n", 2, "--reject-copies", folder=study)
    assert failed.exit_code == 2
    assert "2 of the first 2 samples" in failed.output
    assert "20 samples" in failed.output
    assert not (study / "runs" / "0004-synthesize" / "manifest.csv").exists()


def test_two_processes_sample_and_leave_out_the_same(
    study: Path, torchrun_pair: TorchrunPair
) -> None:
    for index in (4, 7, 21):
        plant(study, study / "runs" / "0002-synthesize", index, index % 3)
    ok(cxr("synthesize", "--n", 110, "--reject-copies", folder=study))
    done = torchrun_pair.run("synthesize", "--n", 110, "--reject-copies", folder=study)
    assert done.returncode == 0, done.stderr
    one, two = study / "runs" / "0004-synthesize", study / "runs" / "0005-synthesize"
    for name in ("manifest.csv", "result.json", "samples.png"):
        assert (one / name).read_bytes() == (two / name).read_bytes()
    configs = [read_json(run / "config.json") for run in (one, two)]
    alone, together = (config.pop("compute") for config in configs)
    assert together == f"{alone}, 2 processes"
    assert configs[0] == configs[1]
    assert {path.relative_to(one): path.read_bytes() for path in one.rglob("synthetic-*.png")} == {
        path.relative_to(two): path.read_bytes() for path in two.rglob("synthetic-*.png")
    }
