from __future__ import annotations

import signal
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.nn.functional import interpolate

from gan.segan.augment import augment
from gan.segan.config import LungsConfig
from gan.segan.losses import multi_scale_l1, pixel_loss
from gan.segan.networks import Critic, Doubling, Segmentor
from gan.segan.segmentation import (
    LungNetwork,
    dice_of_masks,
    load_lung_network,
    lung_chances,
    save_lung_network,
)
from gan.segan.train import LungData, train, update_networks
from gan.segan.training_state import TrainingState
from pipelines.data.phantom import draw, draw_lung_mask, list_cases
from pipelines.study.lungs import stretch, stretch_mask
from runtime.device import choose_compute
from runtime.options import OptionError
from runtime.run import Interrupted, Run, create_run
from tests.conftest import signalled

CPU = choose_compute("cpu", "fp32")
SIZE = 64
TINY = LungsConfig(loss="segan", image_size=SIZE, steps=8, batch_size=4, width=4, evaluate_every=2)


def phantoms(cases: slice) -> tuple[torch.Tensor, torch.Tensor]:
    """Draw phantoms and their lungs, uint8 (N, 1, S, S) each."""
    chosen = list_cases(32, seed=0)[cases]
    images = [stretch(draw(case, 0, 2 * SIZE), SIZE) for case in chosen]
    masks = [stretch_mask(draw_lung_mask(case, 0, 2 * SIZE), SIZE) for case in chosen]
    return torch.tensor(np.stack(images))[:, None], torch.tensor(np.stack(masks))[:, None]


@pytest.fixture(scope="module")
def data() -> LungData:
    images, masks = phantoms(slice(0, 24))
    hashes = [f"{index:064x}" for index in range(len(images))]
    return LungData(images, masks, hashes, *phantoms(slice(24, 32)))


def train_in_new_run(folder: Path, config: LungsConfig, data: LungData) -> Run:
    run = create_run(folder, "lungs-train", {})
    train(config, data, run, CPU)
    return run


def test_feature_maps_are_doubled_bilinearly() -> None:
    features = torch.randn(2, 3, 4, 5, generator=torch.Generator().manual_seed(0))
    expected = interpolate(features, scale_factor=2, mode="bilinear")
    assert torch.allclose(Doubling()(features), expected, atol=1e-6)


# --- losses ---


def test_the_pixel_loss_of_a_certain_and_right_answer_is_none() -> None:
    masks = torch.tensor([[[[1.0, 0.0], [0.0, 1.0]]]])
    assert pixel_loss(100 * (2 * masks - 1), masks).item() == pytest.approx(0, abs=1e-6)


def test_the_pixel_loss_of_no_opinion() -> None:
    masks = torch.tensor([[[[1.0, 0.0], [0.0, 1.0]]]])
    dice = (2 * 1 + 1) / (2 + 2 + 1)  # half of two pixels of lung; both areas are two
    expected = np.log(2) + 1 - dice
    assert pixel_loss(torch.zeros_like(masks), masks).item() == pytest.approx(expected)


def test_the_multi_scale_loss_weighs_all_scales_alike() -> None:
    true = [torch.zeros(1, 1, 8, 8), torch.zeros(1, 4, 2, 2)]
    drawn = [torch.full((1, 1, 8, 8), 0.5), torch.full((1, 4, 2, 2), -0.1)]
    assert multi_scale_l1(true, drawn).item() == pytest.approx(0.3)


# --- networks and augmentation ---


def test_a_segmentor_does_not_mind_brightness_nor_contrast() -> None:
    segmentor = Segmentor(width=4).eval()
    images = torch.rand(2, 1, SIZE, SIZE)
    assert segmentor(images).shape == images.shape
    assert torch.allclose(segmentor(images), segmentor(0.5 * images + 0.2), atol=0.05)


def test_a_critic_gives_the_images_and_coarser_features() -> None:
    sides = [features.shape[-1] for features in Critic(width=2)(torch.rand(2, 1, SIZE, SIZE))]
    assert sides == [64, 32, 16, 8, 4]


def test_augmentation_moves_image_and_mask_together() -> None:
    """A bright square is its own mask: what the mask says stays bright, the rest dark."""
    images = torch.zeros(16, 1, SIZE, SIZE)
    images[:, :, 20:40, 24:44] = 1
    changed, masks = augment(images, images.clone(), torch.Generator().manual_seed(0))
    for image, mask in zip(changed, masks, strict=True):
        assert image[mask > 0.9].mean() > image[mask < 0.1].mean() + 0.3
    assert not torch.equal(masks[0], masks[1])


def test_the_critic_climbs_what_the_segmentor_lowers(data: LungData, tmp_path: Path) -> None:
    run = create_run(tmp_path, "lungs-train", {})
    state = TrainingState.begin(TINY, data.trained_on, run, CPU)
    segmentor = {name: value.clone() for name, value in state.segmentor.state_dict().items()}
    images, masks = data.images[:8].float() / 255, data.masks[:8].float() / 255
    parts = []
    for _ in range(12):  # against a segmentor that stays as it is
        parts.append(update_networks(TINY, state, images, masks, CPU)[1].item())
        state.segmentor.load_state_dict(segmentor)
    assert parts[-1] > parts[0]
    convolutions = [module for module in state.critic.modules() if hasattr(module, "kernel_size")]
    assert max(layer.weight.abs().max().item() for layer in convolutions) <= Critic.CLIP + 1e-6


# --- training ---


@pytest.mark.parametrize("loss", ["segan", "dice"])
def test_a_network_learns_where_the_lungs_of_phantoms_are(
    loss: str, data: LungData, tmp_path: Path
) -> None:
    config = replace(TINY, loss=loss, steps=40, batch_size=8, width=8, evaluate_every=20)
    run = train_in_new_run(tmp_path, config, data)
    events = run.journal()
    assert events[-1]["validation_dice"] > 0.85
    assert (events[-1]["critic_loss"] > 0) == (loss == "segan")
    network = load_lung_network(run.folder / "lungs.pt", CPU.device)  # in float16, as it is kept
    drawn = lung_chances(network.segmentor, data.validation_images) > 0.5
    dice = dice_of_masks(drawn, data.validation_masks[:, 0] > 127)
    assert dice.mean().item() == pytest.approx(
        max(event["validation_dice"] for event in events), abs=0.002
    )
    assert network.trained_on == tuple(data.trained_on)


def test_a_stopped_training_goes_on_bit_for_bit(data: LungData, tmp_path: Path) -> None:
    undisturbed = train_in_new_run(tmp_path / "whole", TINY, data)
    run = create_run(tmp_path / "stopped", "lungs-train", {})
    with signalled(run.journal_path, 1, signal.SIGTERM), pytest.raises(Interrupted, match="resume"):
        train(TINY, data, run, CPU)
    train(TINY, data, run, CPU)
    for name in ("lungs.pt", "journal.jsonl"):
        assert (run.folder / name).read_bytes() == (undisturbed.folder / name).read_bytes()


def test_the_same_seed_gives_the_same_network(data: LungData, tmp_path: Path) -> None:
    contents = [
        (train_in_new_run(tmp_path, config, data).folder / "lungs.pt").read_bytes()
        for config in (TINY, TINY, replace(TINY, seed=1))
    ]
    assert contents[0] == contents[1] != contents[2]


def test_a_checkpoint_of_other_images_is_refused(data: LungData, tmp_path: Path) -> None:
    run = train_in_new_run(tmp_path, replace(TINY, steps=2), data)
    others = replace(data, trained_on=["another", *data.trained_on[1:]])
    with pytest.raises(ValueError, match=f"{run.checkpoint} is of other .* images"):
        train(replace(TINY, steps=2), others, run, CPU)


# --- files and options ---


def test_a_damaged_network_is_refused_by_name(tmp_path: Path) -> None:
    path = tmp_path / "lungs.pt"
    save_lung_network(path, LungNetwork(Segmentor(width=4), TINY, ("a" * 64,)))
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(ValueError, match=str(path)):
        load_lung_network(path, CPU.device)


@pytest.mark.parametrize(
    ("name", "value", "problem"),
    [
        ("loss", "l1", "segan, dice"),
        ("image_size", 100, "64, 128 or 256"),
        ("steps", 0, "at least 1"),
        ("batch_size", 1, "at least 2"),
        ("learning_rate", float("nan"), "positive"),
    ],
)
def test_an_option_out_of_range_is_refused(name: str, value: object, problem: str) -> None:
    with pytest.raises(OptionError, match=problem) as caught:
        LungsConfig(**{name: value})  # type: ignore[arg-type]  # a mistake, as users make them
    assert caught.value.field == name


def test_a_training_may_begin_with_another_network(data: LungData, tmp_path: Path) -> None:
    first = LungNetwork(Segmentor(width=4), TINY, ("f" * 64, data.trained_on[0]))
    run = create_run(tmp_path, "lungs-train", {})
    train(replace(TINY, steps=1, learning_rate=1e-9), data, run, CPU, first)
    network = load_lung_network(run.folder / "lungs.pt", CPU.device)
    assert network.trained_on == (*data.trained_on, "f" * 64)  # it has seen them all
    for name, weight in first.segmentor.named_parameters():
        assert torch.allclose(network.segmentor.get_parameter(name), weight, atol=1e-3)
