"""The networks: six channels of 40 px in, four logits out. Needs the extra ``train`` (torch, torchvision)."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from spotscan.errors import UsageError
from spotscan.learn.prepared import OUTPUTS

CHANNELS = 6  # tight and wide crop, three each


class Network(nn.Module):
    """A body that makes features, then dropout and one linear layer to the outputs.

    Parameters
    ----------
    body : nn.Module
        (n, 6, h, w) -> (n, n_features).
    n_features : int
        What the body gives.
    dropout : float
        Share of features dropped while training.
    """

    def __init__(self, body: nn.Module, n_features: int, dropout: float) -> None:
        super().__init__()
        self.body = body
        self.dropout = nn.Dropout(dropout)
        self.last = nn.Linear(n_features, len(OUTPUTS))

    def forward(self, crops: Tensor) -> Tensor:
        """Logits (n, 4) of (n, 6, h, w) crops."""
        return self.last(self.dropout(self.body(crops)))


class Residual(nn.Module):
    """Two 3 x 3 convolutions and a way around them (He et al. 2016)."""

    def __init__(self, n_in: int, n_out: int, stride: int) -> None:
        super().__init__()
        self.inner = nn.Sequential(
            nn.Conv2d(n_in, n_out, 3, stride, 1, bias=False),
            nn.BatchNorm2d(n_out),
            nn.ReLU(),
            nn.Conv2d(n_out, n_out, 3, 1, 1, bias=False),
            nn.BatchNorm2d(n_out),
        )
        self.around: nn.Module = nn.Identity()
        if stride > 1 or n_in != n_out:
            self.around = nn.Sequential(nn.Conv2d(n_in, n_out, 1, stride, bias=False), nn.BatchNorm2d(n_out))

    def forward(self, x: Tensor) -> Tensor:
        """(n, n_in, h, w) -> (n, n_out, h / stride, w / stride)."""
        return torch.relu(self.inner(x) + self.around(x))


class TwoBranch(nn.Module):
    """The mark and its surroundings, each through a small residual net of its own; features side by side.

    Two branches, since the same structure means something else in each crop: an edge in the tight one is the mark's,
    in the wide one a neighbour's.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.tight, self.wide = _branch(width), _branch(width)
        self.n_features = 8 * width

    def forward(self, crops: Tensor) -> Tensor:
        """(n, 6, h, w) -> (n, 8 width)."""
        return torch.cat([self.tight(crops[:, :3]), self.wide(crops[:, 3:])], 1)


def _branch(width: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(CHANNELS // 2, width, 3, 1, 1, bias=False),
        nn.BatchNorm2d(width),
        nn.ReLU(),
        nn.MaxPool2d(2),
        Residual(width, width, 1),
        Residual(width, 2 * width, 2),
        Residual(2 * width, 4 * width, 2),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
    )


def _two_branch(width: int) -> tuple[nn.Module, int]:
    body = TwoBranch(width)
    return body, body.n_features


# Of torchvision, from scratch. The first layer takes six channels and keeps the resolution: the nets are made for
# 224 px, and at their stride of 32 a crop of 40 px would be a single pixel.
def _mobilenet_v3_small(width: int) -> tuple[nn.Module, int]:
    from torchvision.models import mobilenet_v3_small

    net = mobilenet_v3_small(weights=None)
    net.features[0][0] = nn.Conv2d(CHANNELS, 16, 3, 1, 1, bias=False)
    return nn.Sequential(net.features, net.avgpool, nn.Flatten()), 576


def _shufflenet_v2_x0_5(width: int) -> tuple[nn.Module, int]:
    from torchvision.models import shufflenet_v2_x0_5

    net = shufflenet_v2_x0_5(weights=None)
    net.conv1[0] = nn.Conv2d(CHANNELS, 24, 3, 1, 1, bias=False)
    net.fc = nn.Identity()
    return net, 1024


def _resnet18(width: int) -> tuple[nn.Module, int]:
    from torchvision.models import resnet18

    net = resnet18(weights=None)
    net.conv1 = nn.Conv2d(CHANNELS, 64, 3, 1, 1, bias=False)
    net.fc = nn.Identity()
    return net, 512


NETWORKS: dict[str, Callable[[int], tuple[nn.Module, int]]] = {
    "two_branch": _two_branch,
    "mobilenet_v3_small": _mobilenet_v3_small,
    "shufflenet_v2_x0_5": _shufflenet_v2_x0_5,
    "resnet18": _resnet18,  # the peer: eight times the parameters allowed
}


def build(kind: str, width: int = 32, dropout: float = 0.3) -> Network:
    """A network of `NETWORKS`, its weights drawn by torch's generator.

    Raises
    ------
    UsageError
        There is no such network.
    """
    if kind not in NETWORKS:
        raise UsageError("there is no such network", kind, f"choose one of {', '.join(NETWORKS)}")
    body, n_features = NETWORKS[kind](width)
    return Network(body, n_features, dropout)


def n_parameters(network: nn.Module) -> int:
    """Parameters that are learned."""
    return sum(p.numel() for p in network.parameters())
