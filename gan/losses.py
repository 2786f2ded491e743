"""Losses: pure functions of logits, and the two games that are played with them.

Relativistic: the pairing loss and zero-centred penalties of R3GAN (Huang et al. 2024, "The GAN is dead; long live the GAN!",
eqs. 2 to 4). Departure: the squared gradient norm is estimated along one random direction by finite differences,
E[((D(x+σε) − D(x)) / σ)²] → ‖∇D‖² for ε ~ N(0, I), σ → 0, which needs no second derivative and so runs in bfloat16.

Adversarial: the non-saturating loss of Goodfellow et al. 2014 as DCGAN uses it; with a class head also the AC-GAN's
class loss on reals and fakes (Odena et al. 2017, eqs. 1 and 2).
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, softplus

SIGMA = 0.05  # scale of the finite differences, in units of the −1..1 range
PROBED = 8  # the penalties are estimated on every eighth image of a batch: unbiased, and a third cheaper per step


def discriminator_loss(real_logits: Tensor, fake_logits: Tensor) -> Tensor:
    """E softplus(−(D(x) − D(G(z)))): every real should outscore its fake. Logits (B,), result ()."""
    return softplus(fake_logits - real_logits).mean()


def generator_loss(real_logits: Tensor, fake_logits: Tensor) -> Tensor:
    """E softplus(D(x) − D(G(z))): the reverse of the discriminator's. Logits (B,), result ()."""
    return softplus(real_logits - fake_logits).mean()


def gradient_penalty(logits: Tensor, opposite_logits: Tensor, sigma: float) -> Tensor:
    """Half the squared gradient norm, by central differences between x + σε and x − σε. Logits (B,), result ()."""
    return ((logits - opposite_logits) / (2 * sigma)).square().mean() / 2


def binary_loss(logits: Tensor, real: bool) -> Tensor:
    """Binary cross-entropy of logits (B,) that should all say real, or all fake. Result ()."""
    return softplus(-logits if real else logits).mean()


@dataclass(frozen=True)
class Relativistic:
    """Each real against a fake of its class; one pass of the discriminator, forward and back, serves both networks.

    Both losses depend on a fake through its logit alone, dL_G/dD(G(z)) = −exp(D(x) − D(G(z))) · dL_D/dD(G(z)), and nothing in the
    discriminator mixes the images of a batch. So the generator's gradient is the one that the discriminator's pass left on the
    fakes, times that factor. The two networks are thus updated at once instead of in turn.
    """

    penalty: float

    def discriminator(
        self, network: nn.Module, real: Tensor, fake: Tensor, labels: Tensor, noise: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Loss with penalties, loss, and gap D(x) − D(G(z)) of each pair (B,). noise (2 · probed, C, S, S) ~ N(0, I)."""
        probed, shift = labels[::PROBED], SIGMA * noise
        probes = torch.cat([real[::PROBED], fake[::PROBED].detach()])
        logits = network(
            torch.cat([real, fake, probes + shift, probes - shift]),
            torch.cat([labels, labels, *[probed] * 4]),
        )
        real_logits, fake_logits, forward, backward = logits.split(
            [len(labels)] * 2 + [len(probes)] * 2
        )
        penalties = 2 * gradient_penalty(
            forward, backward, SIGMA
        )  # of reals and of fakes, each a mean
        loss = discriminator_loss(real_logits, fake_logits)
        return loss + self.penalty * penalties, loss, real_logits - fake_logits

    def generator(
        self, network: nn.Module, fake: Tensor, gradient: Tensor, gap: Tensor, labels: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Generator's loss and its gradient by the fakes (B, C, S, S); gradient is that of the discriminator's loss."""
        return generator_loss(gap, torch.zeros_like(gap)), gradient * -gap.clamp(max=60).exp().view(
            -1, 1, 1, 1
        )  # beyond 60 the discriminator's gradient ends in float32


@dataclass(frozen=True)
class Adversarial:
    """Real against fake, each in a pass of its own as BatchNorm in the discriminator wants it; classes too where it has a head.

    The networks are updated in turn: the generator against the discriminator as it has become.
    """

    def discriminator(
        self, network: nn.Module, real: Tensor, fake: Tensor, labels: Tensor, noise: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Loss in all, its part about real and fake, and gap D(x) − D(G(z)) of each pair (B,). noise is not looked at."""
        (real_logits, real_class), (fake_logits, fake_class) = (
            _heads(network(real, labels), labels),
            _heads(network(fake, labels), labels),
        )
        loss = binary_loss(real_logits, True) + binary_loss(fake_logits, False)
        return loss + real_class + fake_class, loss, real_logits - fake_logits

    def generator(
        self, network: nn.Module, fake: Tensor, gradient: Tensor, gap: Tensor, labels: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Generator's loss and its gradient by the fakes (B, C, S, S), from a pass of their own."""
        logits, of_class = _heads(network(fake, labels), labels)
        loss = binary_loss(logits, True) + of_class
        return loss, torch.autograd.grad(loss, fake)[0]


def _heads(output: Tensor | tuple[Tensor, Tensor], labels: Tensor) -> tuple[Tensor, Tensor]:
    """Validity logits in float32, and the class loss: zero where there is no class head."""
    if isinstance(output, Tensor):
        return output.float(), output.new_zeros(())
    validity, classes = output
    return validity.float(), cross_entropy(classes.float(), labels)
