"""Base of classifiers that also run densely over an image."""

from math import prod

import torch
from torch import nn
from torch.nn import functional

from wsipipe.models.kernels.rings import CONVOLVE
from wsipipe.models.networks.blocks import check_divisible
from wsipipe.models.networks.halo import Step, dense_halo


class DenseClassifier(nn.Module):
    """Classifier that also runs densely over an image.

    Tile (B, C, H, W) -> class scores; in one dense pass, image -> a map of them, with one cell per ``stride``
    px. Also for volumes (B, C, D, H, W). The head is linear, so the mean of the cells' scores is the score of
    the tile.

    Attributes:
        steps: (kernel side, stride) of each layer on the path with the largest receptive field, first layer
            first.
        window: Odd number of cells along a side that :meth:`logit_map` averages.
        head: Features of a cell -> class scores.
    """

    steps: list[Step]
    window: int
    head: nn.Linear

    def features(self, x: torch.Tensor) -> torch.Tensor:
        """Return the features of each cell.

        Image (B, C, H, W) -> (B, F, H / stride, W / stride).
        """
        raise NotImplementedError(f"{type(self).__name__} must define features()")

    @property
    def stride(self) -> int:
        """Image px per cell, along each axis."""
        return prod(stride for _, stride in self.steps)

    @property
    def lattice_px(self) -> int:
        """Divisor of patch origins and extents."""
        return self.stride

    @property
    def halo_px(self) -> int:
        """Context that :meth:`logit_map` needs on each side of a core, px.

        The core lies on the lattice.
        """
        return dense_halo(self.steps, self.window)

    def cells(self, x: torch.Tensor) -> torch.Tensor:
        """Return raw class scores of each cell, without window means.

        Image (B, C, H, W) -> (B, classes, H / stride, W / stride).
        """
        check_divisible(x, self.stride)
        return self._scores(self.features(x))

    def _scores(self, features: torch.Tensor) -> torch.Tensor:
        """Return raw class scores of the features of each cell."""
        dims = features.ndim - 2
        weight, bias = self.head.weight.reshape(*self.head.weight.shape, *(1,) * dims), self.head.bias
        if torch.is_inference_mode_enabled():
            # Few cells, so float64 is cheap; what the order of a sum changes is then below any stored level.
            features, weight, bias = features.double(), weight.double(), bias.double()
        return CONVOLVE[dims](features, weight, bias)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return raw class scores (B, classes) of tiles (B, C, H, W)."""
        return self.cells(x).flatten(2).mean(dim=2)

    def logit_map(self, x: torch.Tensor) -> torch.Tensor:
        """Return raw class scores of each cell, as means of a window.

        Image (B, C, H, W) -> (B, classes, H / stride, W / stride).
        """
        check_divisible(x, self.stride)
        return self.logits_of(self.features(x))

    def logit_and_feature_maps(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the :meth:`logit_map` and window means of the features.

        The means are (B, F, H / stride, W / stride) float64.
        """
        check_divisible(x, self.stride)
        features = self.features(x)
        return self.logits_of(features), self.means_of(features)

    def logits_of(self, features: torch.Tensor) -> torch.Tensor:
        """Return raw class scores of each cell, as means of a window.

        Features (B, F, h, w) -> (B, classes, h, w).
        """
        return self._window_means(self._scores(features))

    def means_of(self, features: torch.Tensor) -> torch.Tensor:
        """Return window means of features (B, F, h, w), float64."""
        return self._window_means(features.double())

    def _window_means(self, values: torch.Tensor) -> torch.Tensor:
        values = values.to(torch.promote_types(values.dtype, torch.float32))
        mean = {2: functional.avg_pool2d, 3: functional.avg_pool3d}[values.ndim - 2]
        return mean(values, self.window, 1, self.window // 2, count_include_pad=False)
