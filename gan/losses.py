"""Losses as pure functions of logits.

Relativistic pairing loss and zero-centred penalties of R3GAN (Huang et al. 2024, "The GAN is dead;
long live the GAN!", eqs. 2 to 4). Departure: the squared gradient norm is estimated along one random
direction by finite differences, E[((D(x+σε) − D(x)) / σ)²] → ‖∇D‖² for ε ~ N(0, I), σ → 0, which needs
no second derivative and so runs in bfloat16.
"""

from __future__ import annotations

from torch import Tensor
from torch.nn.functional import softplus


def discriminator_loss(real_logits: Tensor, fake_logits: Tensor) -> Tensor:
    """E softplus(−(D(x) − D(G(z)))): every real should outscore its fake. Logits (B,), result ()."""
    return softplus(fake_logits - real_logits).mean()


def generator_loss(real_logits: Tensor, fake_logits: Tensor) -> Tensor:
    """E softplus(D(x) − D(G(z))): the reverse of the discriminator's. Logits (B,), result ()."""
    return softplus(real_logits - fake_logits).mean()


def gradient_penalty(logits: Tensor, shifted_logits: Tensor, sigma: float) -> Tensor:
    """Half the squared gradient norm, by finite differences along Gaussian noise of scale sigma. Result ()."""
    return ((shifted_logits - logits) / sigma).square().mean() / 2
