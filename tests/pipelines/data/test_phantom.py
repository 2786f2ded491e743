"""Phantoms are reproducible, balanced, alike within a patient, and as bright in every class."""

from __future__ import annotations

import hashlib
import subprocess
import sys
from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import rankdata

from pipelines.data.phantom import LABELS, PhantomCase, draw, list_cases


def test_same_arguments_give_the_same_bytes_in_this_and_another_process() -> None:
    case = PhantomCase("covid", 5, 1)
    first = draw(case, seed=3)
    assert first.shape == (256, 256)
    assert first.dtype == np.uint8
    assert np.array_equal(first, draw(case, seed=3))

    code = (
        "import hashlib; from pipelines.data.phantom import PhantomCase, draw;"
        "print(hashlib.sha256(draw(PhantomCase('covid', 5, 1), seed=3).tobytes()).hexdigest())"
    )
    other = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert other.stdout.strip() == hashlib.sha256(first.tobytes()).hexdigest()


@pytest.mark.parametrize("other", [("covid", 0, 1), ("covid", 1, 0), ("normal", 0, 0)])
def test_image_patient_and_label_each_change_the_film(other: tuple[str, int, int]) -> None:
    assert not np.array_equal(
        draw(PhantomCase("covid", 0, 0), seed=0), draw(PhantomCase(*other), seed=0)
    )


def test_seed_changes_the_film() -> None:
    case = PhantomCase("normal", 0, 0)
    assert not np.array_equal(draw(case, seed=0), draw(case, seed=1))


@settings(max_examples=50, deadline=None)
@given(n=st.integers(2, 300), seed=st.integers(0, 2**32 - 1))
def test_cases_are_balanced_distinct_and_prefix_stable(n: int, seed: int) -> None:
    films = list_cases(n, seed)
    labels = Counter(film.label for film in films)
    assert len(films) == len(set(films)) == n
    assert abs(labels["covid"] - labels["normal"]) <= 1
    assert films == list_cases(n + 7, seed)[:n]

    label_of: dict[int, str] = {}
    for film in films:
        assert label_of.setdefault(film.patient, film.label) == film.label
    assert sorted(label_of) == list(range(len(label_of)))


def test_about_a_quarter_of_the_patients_have_two_to_four_films() -> None:
    for label in LABELS:
        counts = Counter(film.patient for film in list_cases(2000, seed=1) if film.label == label)
        several = np.mean([count > 1 for count in counts.values()])
        assert 0.18 < several < 0.32
        assert max(counts.values()) == 4


def unit_film(film: np.ndarray) -> np.ndarray:
    film = film.reshape(32, 4, 32, 4).mean(axis=(1, 3))
    return (film - film.mean()).ravel() / film.std() / 32


def test_films_of_one_patient_are_more_alike_than_films_of_two() -> None:
    patients = range(20)
    first = np.array(
        [unit_film(draw(PhantomCase("normal", p, 0), seed=2, size=128)) for p in patients]
    )
    second = np.array(
        [unit_film(draw(PhantomCase("normal", p, 1), seed=2, size=128)) for p in patients]
    )
    likeness = first @ second.T
    own = np.diag(likeness).mean()
    foreign = likeness[~np.eye(len(likeness), dtype=bool)].mean()
    assert own > foreign + 0.005


def test_mean_brightness_hardly_tells_the_labels_apart() -> None:
    films = list_cases(200, seed=4)
    ranks = rankdata([draw(film, seed=4, size=128).mean() for film in films])
    covid = np.array([film.label == "covid" for film in films])
    n = covid.sum()
    auc = (ranks[covid].sum() - n * (n + 1) / 2) / (n * (len(films) - n))
    assert 0.35 < auc < 0.70  # 0.40 to 0.65, and the sampling error of 200 films


@pytest.mark.parametrize("size", [64, 100, 256])
def test_films_have_dark_air_and_bright_body(size: int) -> None:
    film = draw(PhantomCase("normal", 0, 0), seed=0, size=size)
    assert film.shape == (size, size)
    assert film.min() < 40
    assert film.max() > 180


@pytest.mark.parametrize("n", [1, 0, -3])
def test_too_few_films_are_refused(n: int) -> None:
    with pytest.raises(ValueError, match=f"n {n}: expected at least 2"):
        list_cases(n, seed=0)


def test_unknown_label_is_refused() -> None:
    with pytest.raises(ValueError, match=r"'flu'.*covid.*normal"):
        draw(PhantomCase("flu", 0, 0), seed=0)
