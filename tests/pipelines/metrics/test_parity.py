"""The same numbers as pytorch-fid and torch-fidelity, and as the formulas written out."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.ndimage import gaussian_filter

from benchmarks.scoring import write_weights
from pipelines.metrics.diversity import SCALE_WEIGHTS, ms_ssim
from pipelines.metrics.extractors import choose_extractors
from pipelines.metrics.frechet import (
    distance,
    fit,
    frechet_distance,
    read_statistics,
    write_statistics,
)
from pipelines.metrics.inception import WEIGHTS_URL, load_inception
from pipelines.metrics.kernel import SEED, SUBSETS, kernel_distance
from pipelines.metrics.precision_recall import PRECISION_NEIGHBOURS, manifold
from runtime.device import choose_compute

fid_score = pytest.importorskip("pytorch_fid.fid_score")
fid_inception = pytest.importorskip("pytorch_fid.inception")
metric_kid = pytest.importorskip("torch_fidelity.metric_kid")
metric_prc = pytest.importorskip("torch_fidelity.metric_prc")


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file of pytorch-fid's layout with seeded weights, where it looks for its download."""
    name = fid_inception.FID_WEIGHTS_URL.rsplit("/", 1)[1]
    path = tmp_path_factory.mktemp("hub") / "checkpoints" / name
    write_weights(path)
    return path


def test_inception_features_and_their_distance_equal_those_of_pytorch_fid(weights: Path) -> None:
    assert WEIGHTS_URL == fid_inception.FID_WEIGHTS_URL
    before = torch.hub.get_dir()
    torch.hub.set_dir(weights.parent.parent)
    try:
        theirs = fid_inception.InceptionV3().eval()
    finally:
        torch.hub.set_dir(before)
    images = np.random.default_rng(0).integers(0, 256, (6, 40, 48), np.uint8)
    images[3:] = images[3:] // 2 + 60
    (ours,) = choose_extractors(["inception"], [str(weights)], choose_compute("cpu", "fp32"))
    assert "other weights" in ours.record.note
    assert len(ours.record.sha256) == 64
    with torch.no_grad():
        found = ours.network(torch.from_numpy(images).unsqueeze(1)).numpy()
        expected = (
            theirs(torch.from_numpy(images / np.float32(255)).unsqueeze(1).expand(-1, 3, -1, -1))[0]
            .flatten(1)
            .numpy()
        )
    assert found.shape == (6, 2048)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, expected, atol=1e-4, rtol=0)
    sets = [
        expected[:3, :200],
        expected[3:, :200],
    ]  # of all 2048 their matrix square root takes a minute
    fid = fid_score.calculate_frechet_distance(
        *(part for one in sets for part in (one.mean(axis=0), np.cov(one, rowvar=False)))
    )
    assert frechet_distance(found[:3, :200], found[3:, :200]) == pytest.approx(fid, rel=1e-3)


def test_weights_of_another_network_are_refused(weights: Path, tmp_path: Path) -> None:
    state = torch.load(weights, weights_only=True)
    state["Mixed_6b.branch7x7_2.conv.weight"] = torch.zeros(3, 3)
    torch.save(state, tmp_path / "other.pth")
    with pytest.raises(ValueError, match=r"other\.pth.*Mixed_6b.branch7x7_2.conv.weight"):
        load_inception(tmp_path / "other.pth")
    before = torch.hub.get_dir()
    torch.hub.set_dir(weights.parent.parent)  # a file in the place of the download that is not it
    try:
        with pytest.raises(ValueError, match="another hash than 6726825d"):
            load_inception()
    finally:
        torch.hub.set_dir(before)


@settings(max_examples=20, deadline=None)
@given(
    seed=st.integers(0, 1000),
    d=st.integers(2, 40),
    n=st.tuples(st.integers(3, 60), st.integers(3, 60)),
)
def test_kernel_distance_precision_and_recall_equal_those_of_torch_fidelity(
    seed: int, d: int, n: tuple[int, int]
) -> None:
    rng = np.random.default_rng(seed)
    reals, fakes = (
        rng.normal(size=(n[0] + PRECISION_NEIGHBOURS, d)),
        rng.normal(size=(n[1] + PRECISION_NEIGHBOURS, d)) * rng.uniform(0.5, 1.5)
        + rng.uniform(0, 1),
    )
    theirs = metric_kid.kid_features_to_metric(
        torch.from_numpy(reals),
        torch.from_numpy(fakes),
        kid_subsets=SUBSETS,
        kid_subset_size=min(len(reals), len(fakes)),
        rng_seed=SEED,
        verbose=False,
    )
    assert kernel_distance(reals, fakes) == pytest.approx(
        theirs["kernel_inception_distance_mean"], rel=1e-9, abs=1e-12
    )
    found = manifold(reals, fakes)
    theirs = metric_prc.prc_features_to_metric(
        torch.from_numpy(fakes),
        torch.from_numpy(reals),
        prc_neighborhood=PRECISION_NEIGHBOURS,
        verbose=False,
    )
    assert (found.precision, found.recall) == (
        pytest.approx(theirs["precision"]),
        pytest.approx(theirs["recall"]),
    )


def test_density_and_coverage_as_their_definitions_read() -> None:
    rng = np.random.default_rng(1)
    reals, fakes = rng.normal(size=(30, 3)), rng.normal(size=(40, 3)) + 0.5
    radii = [sorted(np.linalg.norm(reals - real, axis=1))[5] for real in reals]
    inside = np.array(
        [
            [np.linalg.norm(fake - real) <= radius for fake in fakes]
            for real, radius in zip(reals, radii, strict=True)
        ]
    )
    found = manifold(reals, fakes)
    assert found.density == pytest.approx(inside.sum() / (5 * len(fakes)))
    assert found.coverage == pytest.approx(inside.any(axis=1).mean())


def test_statistics_go_to_pytorch_fid_and_come_back(tmp_path: Path) -> None:
    rng = np.random.default_rng(2)
    sets = [
        rng.normal(size=(n, 24)) @ rng.normal(size=(24, 24)) for n in (60, 15)
    ]  # the second's covariance is singular
    for number, one in enumerate(sets):
        write_statistics(tmp_path / f"{number}.npz", fit(one))
        with np.load(tmp_path / f"{number}.npz") as file:
            np.testing.assert_allclose(file["mu"], one.mean(axis=0))
            np.testing.assert_allclose(file["sigma"], np.cov(one, rowvar=False), atol=1e-9)
    np.savez(tmp_path / "theirs.npz", mu=sets[1].mean(axis=0), sigma=np.cov(sets[1], rowvar=False))
    whole = frechet_distance(*sets)
    for other in ("1.npz", "theirs.npz"):
        assert distance(
            read_statistics(tmp_path / "0.npz"), read_statistics(tmp_path / other)
        ) == pytest.approx(whole, rel=1e-6)
    assert distance(fit(sets[0]), read_statistics(tmp_path / "1.npz")) == pytest.approx(
        whole, rel=1e-6
    )


@pytest.mark.parametrize(
    "broken",
    [
        {"mu": np.zeros(3)},
        {"mu": np.zeros(3), "sigma": np.zeros((3, 2))},
        {"mu": np.zeros(2), "sigma": -np.eye(2)},
        {"mu": np.full(2, np.nan), "sigma": np.eye(2)},
    ],
)
def test_files_that_hold_no_statistics(tmp_path: Path, broken: dict[str, np.ndarray]) -> None:
    np.savez(tmp_path / "some.npz", **broken)
    with pytest.raises(ValueError, match=r"some\.npz"):
        read_statistics(tmp_path / "some.npz")


def test_ms_ssim_as_its_formula_reads() -> None:
    """At 40 px two scales fit in; Gaussian windows by scipy, pair by pair."""
    rng = np.random.default_rng(3)
    images = np.stack(
        [gaussian_filter(rng.uniform(0, 255, (40, 46)), 2) * 3 % 256 for _ in range(4)]
    ).astype(np.uint8)

    def parts(a: np.ndarray, b: np.ndarray) -> tuple[float, float]:
        def blur(x: np.ndarray) -> np.ndarray:
            return gaussian_filter(x, 1.5, radius=5)[5:-5, 5:-5]

        c1, c2 = 2.55**2, 7.65**2
        luminance = (2 * blur(a) * blur(b) + c1) / (blur(a) ** 2 + blur(b) ** 2 + c1)
        structure = (2 * (blur(a * b) - blur(a) * blur(b)) + c2) / (
            blur(a * a) - blur(a) ** 2 + blur(b * b) - blur(b) ** 2 + c2
        )
        return float((luminance * structure).mean()), float(structure.mean())

    found = ms_ssim(images)
    assert found.shape == (4, 4)
    assert np.allclose(np.diag(found), 1)
    assert np.allclose(found, found.T)
    for i, j in ((0, 1), (2, 3), (1, 3)):
        a, b = images[i].astype(float), images[j].astype(float)
        fine = parts(a, b)[1]
        coarse = parts(*(x.reshape(20, 2, 23, 2).mean(axis=(1, 3)) for x in (a, b)))[0]
        exponents = np.array(SCALE_WEIGHTS[:2]) / sum(SCALE_WEIGHTS[:2])
        assert found[i, j] == pytest.approx(
            max(fine, 0) ** exponents[0] * max(coarse, 0) ** exponents[1], abs=1e-4
        )
