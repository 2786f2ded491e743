"""Losses: pure functions of logits, and the three adversarial games that are played with them.

Relativistic: the pairing loss and zero-centred gradient penalties of R3GAN (Huang et al. 2024,
"The GAN is dead; long live the GAN!", eqs. 2 to 4). Departure: the squared gradient norm is
estimated along one random direction by finite differences, E[((D(x+σε) − D(x)) / σ)²] → ‖∇D‖² for
ε ~ N(0, I), σ → 0, which needs no second derivative and so runs in bfloat16.

Adversarial: the non-saturating loss of Goodfellow et al. 2014 as DCGAN uses it; with a class head
also the AC-GAN's class loss on reals and fakes (Odena et al. 2017, eqs. 1 and 2).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple, Protocol

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, softplus

SIGMA = 0.05  # scale of the finite differences, in units of the −1..1 range
PENALTY_STRIDE = 8  # the penalties see every eighth image: unbiased, and a step costs a third less
DRIFT = 1e-3  # weight of the critic's squared logits, which keeps them near 0
MAX_GAP = 60.0  # a larger one is taken for this: its exponential would come near float32's end


def discriminator_loss(real_logits: Tensor, fake_logits: Tensor) -> Tensor:
    """Return E softplus(−(D(x) − D(G(z)))): every real should outscore its fake (R3GAN, eq. 2).

    Logits (B,), result ().
    """
    return softplus(fake_logits - real_logits).mean()


def generator_loss(real_logits: Tensor, fake_logits: Tensor) -> Tensor:
    """Return E softplus(D(x) − D(G(z))): the reverse of the discriminator's.

    Logits (B,), result ().
    """
    return softplus(real_logits - fake_logits).mean()


def gradient_penalty(logits: Tensor, opposite_logits: Tensor, sigma: float) -> Tensor:
    """Return half the squared gradient norm, by central differences (R3GAN, eqs. 3 and 4).

    Args:
        logits: D(x + σε), (B,).
        opposite_logits: D(x − σε), (B,).
        sigma: σ, in units of the images' −1..1 range.

    Returns:
        The mean over the batch, ().
    """
    return ((logits - opposite_logits) / (2 * sigma)).square().mean() / 2


def binary_loss(logits: Tensor, real: bool) -> Tensor:
    """Return the binary cross-entropy of logits (B,) that should all say real, or all fake; ()."""
    return softplus(-logits if real else logits).mean()


class DiscriminatorLoss(NamedTuple):
    """What a pass of the discriminator comes to.

    Attributes:
        total: What is minimised, ().
        adversarial: The part of it that is about real and fake, ().
        gap: D(x) − D(G(z)) of each pair, (B,).
    """

    total: Tensor
    adversarial: Tensor
    gap: Tensor


class Game(Protocol):
    """How the two networks are set against each other."""

    def discriminator(
        self, network: nn.Module, reals: Tensor, fakes: Tensor, labels: Tensor, noise: Tensor
    ) -> DiscriminatorLoss:
        """Judge a batch.

        Args:
            network: The discriminator.
            reals, fakes: (B, C, S, S) in −1..1.
            labels: The class of each pair of a real and a fake, (B,).
            noise: (2P, C, S, S) ~ N(0, I), P = ⌈B / PENALTY_STRIDE⌉: the directions along which
                the gradients are penalised, of P reals and then of P fakes.
        """
        ...

    def generator(
        self, network: nn.Module, fakes: Tensor, gradient: Tensor, gap: Tensor, labels: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Return the generator's loss () and its gradient by the fakes (B, C, S, S).

        Args:
            network: The discriminator, updated by now.
            fakes: (B, C, S, S), a leaf of the graph.
            gradient: The gradient of the discriminator's total by the fakes, (B, C, S, S).
            gap: As `discriminator` returned it, detached, (B,).
            labels: (B,).
        """
        ...


@dataclass(frozen=True)
class Relativistic:
    """Each real against a fake of its class; one pass, forward and back, serves both networks.

    Both losses depend on a fake through its logit alone,
    dL_G/dD(G(z)) = −exp(D(x) − D(G(z))) · dL_D/dD(G(z)), and nothing in the discriminator mixes
    the images of a batch. So the generator's gradient is the one that the discriminator's pass
    left on the fakes, times that factor. The two networks are thus updated at once instead of in
    turn.

    Attributes:
        penalty: Weight of the penalties for images of image_size. A discriminator that looks at
            pictures of half the side through their means has a squared gradient four times as
            large, so the weight goes with the square of the side.
        image_size: In pixels.
    """

    penalty: float
    image_size: int

    def discriminator(
        self, network: nn.Module, reals: Tensor, fakes: Tensor, labels: Tensor, noise: Tensor
    ) -> DiscriminatorLoss:
        """Judge a batch, with the gradient penalties on every PENALTY_STRIDE-th image of it."""
        probes = torch.cat([reals[::PENALTY_STRIDE], fakes[::PENALTY_STRIDE].detach()])
        probe_labels, shift = labels[::PENALTY_STRIDE], SIGMA * noise
        logits = network(
            torch.cat([reals, fakes, probes + shift, probes - shift]),
            torch.cat([labels, labels, *[probe_labels] * 4]),
        )
        real_logits, fake_logits, forward, backward = logits.split(
            [len(labels)] * 2 + [len(probes)] * 2
        )
        penalties = 2 * gradient_penalty(forward, backward, SIGMA)  # of reals plus of fakes
        weight = self.penalty * (reals.shape[-1] / self.image_size) ** 2
        adversarial = discriminator_loss(real_logits, fake_logits)
        return DiscriminatorLoss(
            adversarial + weight * penalties, adversarial, real_logits - fake_logits
        )

    def generator(
        self, network: nn.Module, fakes: Tensor, gradient: Tensor, gap: Tensor, labels: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Return the generator's loss and its gradient, which is the discriminator's rescaled."""
        factor = -gap.clamp(max=MAX_GAP).exp()  # (B,)
        return generator_loss(gap, torch.zeros_like(gap)), gradient * factor.view(-1, 1, 1, 1)


@dataclass(frozen=True)
class Adversarial:
    """Real against fake, each in a pass of its own as BatchNorm in the discriminator wants it.

    Where the discriminator has a class head, both networks also learn from its class loss. The
    networks are updated in turn: the generator against the discriminator as it has become.
    """

    def discriminator(
        self, network: nn.Module, reals: Tensor, fakes: Tensor, labels: Tensor, noise: Tensor
    ) -> DiscriminatorLoss:
        """Judge a batch; there is no gradient penalty, so `noise` is not looked at."""
        real_logits, real_class_loss = _split_heads(network(reals, labels), labels)
        fake_logits, fake_class_loss = _split_heads(network(fakes, labels), labels)
        adversarial = binary_loss(real_logits, True) + binary_loss(fake_logits, False)
        total = adversarial + real_class_loss + fake_class_loss
        return DiscriminatorLoss(total, adversarial, real_logits - fake_logits)

    def generator(
        self, network: nn.Module, fakes: Tensor, gradient: Tensor, gap: Tensor, labels: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Return the generator's loss and its gradient by the fakes, from a pass of their own."""
        logits, class_loss = _split_heads(network(fakes, labels), labels)
        loss = binary_loss(logits, True) + class_loss
        return loss, torch.autograd.grad(loss, fakes)[0]


@dataclass(frozen=True)
class Wasserstein:
    """WGAN-GP (Gulrajani et al. 2017, eq. 3) with the drift term of Karras et al. 2018, section 4.

    Where the discriminator has a class head, both networks also learn from its class loss. The
    networks are updated in turn. The penalty is of every image, by second derivatives, in float32.
    """

    penalty: float

    def discriminator(
        self, network: nn.Module, reals: Tensor, fakes: Tensor, labels: Tensor, noise: Tensor
    ) -> DiscriminatorLoss:
        """Judge a batch; `noise` is not looked at, pairs are mixed by torch's own numbers."""
        real_logits, real_class_loss = _split_heads(network(reals, labels), labels)
        fake_logits, fake_class_loss = _split_heads(network(fakes, labels), labels)
        gap = real_logits - fake_logits
        total = (
            real_class_loss
            + fake_class_loss
            - gap.mean()
            + self.penalty * _interpolated_penalty(network, reals, fakes.detach(), labels)
            + DRIFT * real_logits.square().mean()
        )
        return DiscriminatorLoss(total, -gap.mean(), gap)

    def generator(
        self, network: nn.Module, fakes: Tensor, gradient: Tensor, gap: Tensor, labels: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Return the generator's loss and its gradient by the fakes, from a pass of their own."""
        logits, class_loss = _split_heads(network(fakes, labels), labels)
        loss = class_loss - logits.mean()
        return loss, torch.autograd.grad(loss, fakes)[0]


def _interpolated_penalty(
    network: nn.Module, reals: Tensor, fakes: Tensor, labels: Tensor
) -> Tensor:
    """Return E (‖∇D(x)‖ − 1)², x at random places between a real and its fake (B, C, S, S); ()."""
    with torch.autocast(reals.device.type, enabled=False):
        places = torch.rand(len(reals), 1, 1, 1, device=reals.device)
        between = torch.lerp(reals.float(), fakes.float(), places).requires_grad_()
        output = network(between, labels)
        logits = output if isinstance(output, Tensor) else output[0]
        (gradient,) = torch.autograd.grad(logits.sum(), between, create_graph=True)
        return (gradient.flatten(1).norm(dim=1) - 1).square().mean()


def _split_heads(output: Tensor | tuple[Tensor, Tensor], labels: Tensor) -> tuple[Tensor, Tensor]:
    """Return validity logits (B,) in float32, and the class loss (): zero without a class head."""
    if isinstance(output, Tensor):
        return output.float(), output.new_zeros(())
    validity, class_logits = output
    return validity.float(), cross_entropy(class_logits.float(), labels)
