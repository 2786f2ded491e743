"""Where a classifier looked: Grad-CAM (Selvaraju et al. 2017, eq. 1 and 2).

The channels of the last map before pooling are weighted by the mean gradient of a class's logit by
them and summed, and what speaks for the class is kept. A map says where, not why; and a network
that needs no lungs will show it only sometimes: `cxr audit` is the test of that.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate

from classifier.networks import Network


def grad_cam(network: Network, images: Tensor, classes: Tensor) -> Tensor:
    """Return maps float (B, S, S) in 0..1, each with its own largest value at 1.

    A map is 0 throughout where nothing speaks for the class. images: uint8 (B, 1, S, S), and
    classes (B,), the index to explain of each, on the network's device. Raises ValueError on a
    network without convolutions.
    """
    network.eval()
    feature_maps, logits = _forward_with_maps(network, images.float().requires_grad_())
    if not feature_maps:
        raise ValueError(
            "this classifier has no convolutions to look into; explain a cnn, vgg16, resnet18 or "
            "resnet50"
        )
    last = feature_maps[-1]  # (B, C, H, W)
    (gradient,) = torch.autograd.grad(logits.gather(1, classes[:, None]).sum(), last)
    weighted = (gradient.mean(dim=(2, 3), keepdim=True) * last).sum(dim=1, keepdim=True).relu()
    enlarged = interpolate(
        weighted.detach().float(), images.shape[2:], mode="bilinear", align_corners=False
    ).squeeze(1)
    return enlarged / enlarged.amax(dim=(1, 2), keepdim=True).clamp(min=1e-12)


def heat_inside(heat: Tensor, area: Tensor) -> Tensor:
    """Return the share of each map's heat (B, S, S) that falls in an area, float (B,) in 0..1.

    It is NaN where a map is 0 throughout. area: the share of each pixel that belongs to it,
    (B, S, S) in 0..1.
    """
    return (heat * area).sum(dim=(1, 2)) / heat.sum(dim=(1, 2))


def _forward_with_maps(network: Network, images: Tensor) -> tuple[list[Tensor], Tensor]:
    """Return the feature maps after every ReLU, first to last, and the logits (B, K)."""
    feature_maps: list[Tensor] = []

    def keep(module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        if output.dim() == 4:
            feature_maps.append(output)

    hooks = [
        module.register_forward_hook(keep)
        for module in network.modules()
        if isinstance(module, nn.ReLU)
    ]
    try:
        logits = network(images)
    finally:
        for hook in hooks:
            hook.remove()
    return feature_maps, logits
