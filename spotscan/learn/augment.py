"""Crops varied as photos vary: light, colour cast, aim, sharpness, noise. Needs torch.

In absorbance, light and exposure add and gloss subtracts, so that contrast is a factor and a cast a gain and an offset
a channel; both crops of a mark come from one photo and are varied alike.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor

from spotscan.crops import HIGH, LOW, TIGHT, WIDE
from spotscan.learn.config import Augment

_NEAREST = 0.7  # diameters from the mark's centre to the photo's edge: the mark itself is whole
_KERNEL = torch.tensor([1.0, 4.0, 6.0, 4.0, 1.0]) / 16  # binomial, sigma 1 px


def vary(crops: Tensor, how: Augment) -> Tensor:
    """Varied crops (n, 6, h, w) float32; draws from torch's generator."""
    x = _moved(crops, how)
    n, device = len(x), x.device
    if how.blur > 0:
        x = _blurred(x, how.blur)
    contrast = torch.exp(how.contrast * torch.randn(n, 1, 1, 1, device=device))
    gain = 1 + how.cast_gain * torch.randn(n, 3, 1, 1, device=device)
    offset = how.cast_offset * torch.randn(n, 3, 1, 1, device=device)
    x = x * (contrast * gain).repeat(1, 2, 1, 1) + offset.repeat(1, 2, 1, 1)
    if how.noise > 0:
        x = x + how.noise * torch.rand(n, 1, 1, 1, device=device) * torch.randn_like(x)
    if how.frame > 0:
        x = x * _frames(n, how.frame, x)
    if how.drop > 0:
        x = _dropped(x, how.drop)
    return x.clamp(LOW, HIGH)


def _moved(crops: Tensor, how: Augment) -> Tensor:
    """Turned by quarters, flipped, shifted and scaled, both crops of a mark alike."""
    n, device = len(crops), crops.device
    angle = torch.randint(4, (n,), device=device) * (math.pi / 2)
    flip = 1 - 2 * torch.randint(2, (n,), device=device).float()
    size = torch.exp(how.scale * torch.randn(n, device=device))
    cos, sin = torch.cos(angle) * size, torch.sin(angle) * size
    shift = 2 * how.shift * torch.randn(n, 2, device=device)  # a crop's side is 2 in the grid's units
    parts = []
    for part, ratio in ((crops[:, :3], 1.0), (crops[:, 3:], TIGHT / WIDE)):
        rows = [cos * flip, -sin, shift[:, 0] * ratio, sin * flip, cos, shift[:, 1] * ratio]
        grid = F.affine_grid(torch.stack(rows, 1).view(n, 2, 3), list(part.shape), align_corners=False)
        parts.append(F.grid_sample(part, grid, padding_mode="reflection", align_corners=False))
    return torch.cat(parts, 1)


def _blurred(x: Tensor, share: float) -> Tensor:
    """A share of crops softened by up to 1 px; the wide crop less, as its pixels are larger."""
    n, channels = x.shape[:2]
    kernel = _KERNEL.to(x.device)
    padded = F.pad(x, (2, 2, 2, 2), mode="replicate")
    soft = F.conv2d(padded, kernel.view(1, 1, 1, 5).expand(channels, 1, 1, 5), groups=channels)
    soft = F.conv2d(soft, kernel.view(1, 1, 5, 1).expand(channels, 1, 5, 1), groups=channels)
    amount = torch.rand(n, 1, 1, 1, device=x.device) * (torch.rand(n, 1, 1, 1, device=x.device) < share)
    by_crop = torch.cat([amount.expand(n, 3, 1, 1), amount.expand(n, 3, 1, 1) * (TIGHT / WIDE) ** 2], 1)
    return torch.lerp(x, soft, by_crop)


def _frames(n: int, share: float, like: Tensor) -> Tensor:
    """1 inside the photo and 0 outside (n, 6, h, w): a share of photos end 0.7 to 4.5 diameters beside the mark."""
    side = like.shape[-1]
    place = ((torch.arange(side, device=like.device) + 0.5) / side - 0.5).view(1, 1, side)
    near, far = math.log(_NEAREST), math.log(WIDE / 2)
    ends = torch.exp(near + (far - near) * torch.rand(n, 4, 1, device=like.device))
    ends = torch.where(torch.rand(n, 1, 1, device=like.device) < share, ends, WIDE)
    parts = []
    for diameters in (TIGHT, WIDE):
        at = diameters * place
        across, down = ((at > -ends[:, i : i + 1]) & (at < ends[:, i + 1 : i + 2]) for i in (0, 2))
        parts.append((across.view(n, 1, 1, side) & down.view(n, 1, side, 1)).expand(n, 3, side, side))
    return torch.cat(parts, 1).to(like.dtype)


def _dropped(x: Tensor, share: float) -> Tensor:
    """A share of crops without the tight or without the wide one: plain skin, 0."""
    draw = torch.rand(len(x), 1, 1, 1, device=x.device)
    keep_tight, keep_wide = (draw >= share / 2).float(), (draw < 1 - share / 2).float()
    return torch.cat([x[:, :3] * keep_tight, x[:, 3:] * keep_wide], 1)
