"""How measures and scores are called and written, in tables as on the page."""

from __future__ import annotations

from typing import Any

MEASURES = ("accuracy", "sensitivity", "specificity")
OF_POSITIVE = ("sensitivity", "precision", "f1")
SCORE_NAMES = {  # how each is called and written; what is better
    "frechet": ("Fréchet distance (lower)", "{:.3g}"),
    "kernel": ("kernel distance × 1000 (lower)", "{:.2f}"),
    "precision": ("precision (higher)", "{:.2f}"),
    "recall": ("recall (higher)", "{:.2f}"),
    "density": ("density (1)", "{:.2f}"),
    "coverage": ("coverage (higher)", "{:.2f}"),
    "diversity": ("diversity of features (1)", "{:.2f}"),
    "ms_ssim_diversity": ("diversity by MS-SSIM (1)", "{:.2f}"),
    "two_sample_accuracy": ("told from reals (0.5)", "{:.2f}"),
    "train_synthetic_test_real": ("train synthetic, test real (higher)", "{:.2f}"),
    "train_real_test_synthetic": ("train real, test synthetic (higher)", "{:.2f}"),
}
PERCENT = (*MEASURES, "balanced_accuracy", "precision", "f1")


def score_cells(one: dict[str, Any]) -> dict[str, str]:
    """A score's name and numbers as text."""
    name, form = SCORE_NAMES[one["score"]]
    scale = 1000 if one["score"] == "kernel" else 1
    value, low, high, floor, floor_low, floor_high = (
        form.format(scale * one[field])
        for field in ("value", "low", "high", "floor", "floor_low", "floor_high")
    )
    of_all = "" if one["of_all"] is None else form.format(scale * one["of_all"])
    return {
        "name": name,
        "value": value,
        "interval": f"{low} to {high}",
        "floor": floor,
        "floor_interval": f"{floor_low} to {floor_high}",
        "of_all": of_all,
    }
