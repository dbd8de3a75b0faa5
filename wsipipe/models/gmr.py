"""The Gaussian-mixture ring convolution (GMR-Conv).

Its kernel is the same in all eight orientations of the grid: a kernel of side k holds n rings instead of k *
k taps. Its value depends only on the distance r of a cell from the centre, so rotating or mirroring the input
rotates or mirrors the output. Cells with r >= k / 2 are 0.

    radial   K(r) = sum_i weight_i exp(-(r - mu_i)^2 / (2 sigma_i^2)),  mu_i = i d,  d = k / (2 (n - 1))
    narrow   the same with d = 0.8 px, sigma 0.65 px at first, and a ring wherever mu_i < k / 2
    index    K(j) = sum_i weight_i exp(-(j - i)^2 / (2 sigma_i^2)) / (2.5066 sigma_i),  j a cell's hard ring

Source: the GMR-Conv paper, Eq. 1 to 3 (radial); the authors' released code (index). Narrow is specific to
wsipipe: no ring lies on the mask's edge, so a rotation by any angle changes less.
"""

import math
from typing import ClassVar, Literal, get_args

import torch
from torch import nn
from torch.nn import functional

from wsipipe.errors import ModelError
from wsipipe.models.gmr_options import (
    Size,
    check_choice,
    check_groups,
    odd_side,
    padding_px,
    refuse_stride,
    single_size,
)
from wsipipe.models.kernels.dispatch import IMPLS, Impl, ring_conv
from wsipipe.models.kernels.rings import Rings, radius_table

Mode = Literal["radial", "index", "narrow"]
SIGMA_MIN = 1e-2
FWHM_PER_SIGMA = 2.355
SQRT_TWO_PI = 2.5066
NARROW_SPACING_PX, NARROW_SIGMA_PX = 0.8, 0.65
PADDING_MODES = ("zeros", "reflect", "replicate", "circular")


class _GMRConv(nn.Module):
    """Base of the 2-D and 3-D layers.

    Arguments are those of torch's Conv2d, and those of the rings.

    Args:
        in_channels: Channels in.
        out_channels: Channels out.
        kernel_size: Odd side k, px; the same along every axis.
        stride: Only 1.
        padding: Px on each side, ``"same"`` or ``"valid"``; None means same.
        dilation: Distance of neighbouring taps, px.
        groups: Separate channel groups.
        bias: Whether the layer has a bias.
        padding_mode: ``zeros``, ``reflect``, ``replicate`` or ``circular``.
        rings: Number of rings n; None means k // 2 + 1, or all that fit if ``narrow``.
        mode: ``radial`` (the paper), ``index`` (the authors' code) or ``narrow``.
        impl: Implementation, all exact; ``auto`` takes the measured best.
        train_sigma: Whether the ring widths are trained.
        device: Device of the parameters.
        dtype: Data type of the parameters.

    Attributes:
        weight: (out, in / groups, rings).
        log_sigma: (rings,), width of each ring's Gaussian; exp of it is clipped to [0.01, 2 rings].
        bias: (out,) or None.

    Raises:
        ModelError: The kernel is even or not square, the stride is not 1, or an option is unknown; or weights
            of another mode are loaded.
    """

    dims: ClassVar[int]
    stride: ClassVar[int] = 1

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Size,
        stride: Size = 1,
        padding: Size | str | None = None,
        dilation: Size = 1,
        groups: int = 1,
        bias: bool = True,
        padding_mode: str = "zeros",
        *,
        rings: int | None = None,
        mode: Mode = "radial",
        impl: Impl = "auto",
        train_sigma: bool = True,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__()
        self.kernel_size = odd_side(kernel_size)
        refuse_stride(stride)
        check_groups(in_channels, out_channels, groups)
        check_choice("GMR mode", mode, get_args(Mode))
        check_choice("impl", impl, IMPLS)
        check_choice("padding_mode", padding_mode, PADDING_MODES)
        self.in_channels, self.out_channels, self.groups = in_channels, out_channels, groups
        self.mode, self.impl, self.padding_mode = mode, impl, padding_mode
        self.dilation = single_size(dilation, "dilation")
        self.padding = padding_px(padding, self.dilation * (self.kernel_size // 2))
        self.rings = _rings_of(self.kernel_size, mode) if rings is None else rings
        if self.rings < 2 and self.kernel_size > 1:
            raise ModelError(f"{self.rings} rings cannot make a {self.kernel_size} px kernel. Use 2 or more.")
        options = {"device": device, "dtype": dtype}
        self.weight = nn.Parameter(torch.empty(out_channels, in_channels // groups, self.rings, **options))
        self.log_sigma = nn.Parameter(torch.empty(self.rings, **options), requires_grad=train_sigma)
        self.bias = nn.Parameter(torch.empty(out_channels, **options)) if bias else None
        radii, cells = radius_table(self.kernel_size, self.dims)
        self.register_buffer("_radii", radii.to(device), persistent=False)
        self.register_buffer("_cells", cells.to(device), persistent=False)
        self.register_state_dict_post_hook(_store_mode)
        self.register_load_state_dict_pre_hook(_refuse_other_mode)
        self.reset_parameters()

    @property
    def ring_spacing(self) -> float:
        """Distance of neighbouring ring centres, px."""
        if self.mode == "narrow":
            return NARROW_SPACING_PX
        return self.kernel_size / (2 * max(self.rings - 1, 1))

    def reset_parameters(self) -> None:
        """Initialise the weights after He, with equal energy per ring.

        The kernel's mean squared norm is 2 per output, shared evenly by the rings. A ring of many tied taps
        has more energy than the centre for the same weight. With equal weights a layer would start as a blur,
        and a deep network as a strong one; with equal energies it starts with all scales.
        """
        sigma = NARROW_SIGMA_PX if self.mode == "narrow" else self.ring_spacing / FWHM_PER_SIGMA
        nn.init.constant_(self.log_sigma, math.log(sigma))
        taps = torch.bincount(self._cells, minlength=len(self._radii) + 1)[:-1]
        energy = (self.basis().detach() ** 2 * taps).sum(1) * (self.rings * self.in_channels / self.groups)
        # With more rings than radii some contain no cell; they are drawn like the strongest, not as infinity.
        energy = torch.where(energy > 1e-6 * energy.max(), energy, energy.max())
        nn.init.normal_(self.weight)
        with torch.no_grad():
            self.weight.mul_((2 / energy).sqrt())
        if self.bias is not None:
            nn.init.zeros_(self.bias)

    def hard_rings(self) -> torch.Tensor:
        """Return the hard ring (m,) int64 of each distinct radius.

        The edges are linspace(0, k / 2, n + 1).
        """
        return torch.floor(self._radii * (2 * self.rings / self.kernel_size)).long()

    def basis(self) -> torch.Tensor:
        """Return each ring's Gaussian at each distinct radius.

        It is (rings, m), float32 at least.
        """
        dtype = torch.promote_types(self.weight.dtype, torch.float32)
        if self.kernel_size == 1:
            return torch.ones(self.rings, 1, dtype=dtype, device=self.weight.device)
        sigma = self.log_sigma.to(dtype).exp().clamp(SIGMA_MIN, 2 * self.rings)[:, None]
        ring = torch.arange(self.rings, dtype=dtype, device=sigma.device)[:, None]
        if self.mode == "index":
            return torch.exp(-((self.hard_rings() - ring) ** 2) / (2 * sigma**2)) / (SQRT_TWO_PI * sigma)
        return torch.exp(-((self._radii.to(dtype) - ring * self.ring_spacing) ** 2) / (2 * sigma**2))

    def as_rings(self) -> Rings:
        """Return the numbers that define the layer's result.

        The basis is float32 even under autocast.
        """
        with torch.autocast(self.weight.device.type, enabled=False):
            basis = self.basis()
        return Rings(
            weight=self.weight,
            basis=basis,
            cells=self._cells,
            hard=self.hard_rings() if self.mode == "index" else None,
            bias=self.bias,
            kernel_size=self.kernel_size,
            padding=self.padding if self.padding_mode == "zeros" else 0,
            dilation=self.dilation,
            groups=self.groups,
            dims=self.dims,
        )

    def kernel(self) -> torch.Tensor:
        """Return the dense kernel (out, in / groups, k, k[, k]).

        It is bitwise the same in every orientation.
        """
        with torch.autocast(self.weight.device.type, enabled=False):
            return self.as_rings().kernel()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Convolve features (B, in, ...) to (B, out, ...).

        The output has the dtype of ``x``, or of autocast.
        """
        if self.padding_mode != "zeros":
            x = functional.pad(x, (self.padding,) * (2 * self.dims), mode=self.padding_mode)
        return ring_conv(x, self.as_rings(), self.impl)

    def fuse(self, bn: nn.Module | None = None) -> nn.Module:
        """Return the equivalent plain convolution; see :func:`fuse`."""
        return fuse(self, bn)

    def extra_repr(self) -> str:
        """Return sizes and mode, as ``print`` shows them."""
        sizes = f"{self.in_channels}, {self.out_channels}, kernel_size={self.kernel_size}"
        return f"{sizes}, rings={self.rings}, mode={self.mode!r}"


class GMRConv2d(_GMRConv):
    """Ring convolution of images (B, in, H, W) -> (B, out, H', W').

    Its kernel depends only on the radius.
    """

    dims = 2


class GMRConv3d(_GMRConv):
    """Shell convolution of volumes (B, in, D, H, W) -> (B, out, D', H', W').

    Its kernel depends only on the radius.
    """

    dims = 3


def param_groups(model: nn.Module, weight_decay: float) -> list[dict[str, object]]:
    """Return optimiser groups with and without weight decay.

    Weights decay; ring widths, biases and norms do not.
    """
    decayed: list[nn.Parameter] = []
    free: list[nn.Parameter] = []
    for name, parameter in model.named_parameters():
        shrinks = parameter.ndim > 1 and not name.endswith("log_sigma")
        (decayed if shrinks else free).append(parameter)
    return [{"params": decayed, "weight_decay": weight_decay}, {"params": free, "weight_decay": 0.0}]


def fuse(conv: nn.Module, bn: nn.Module | None = None) -> nn.Module:
    """Return the plain convolution equal to ``bn(conv(x))`` in eval mode.

    It is folded in float64.

    Args:
        conv: A :class:`GMRConv2d`, a :class:`GMRConv3d`, or a plain convolution.
        bn: BatchNorm that follows it, or None.

    Raises:
        ModelError: The folded kernel holds NaN or infinity.
    """
    kernel = (conv.kernel() if isinstance(conv, _GMRConv) else conv.weight).detach().double()
    bias = kernel.new_zeros(len(kernel)) if conv.bias is None else conv.bias.detach().double()
    if bn is not None:
        scale, shift = norm_as_affine(bn)
        kernel, bias = kernel * scale.view(-1, *(1,) * (kernel.ndim - 1)), bias * scale + shift
    if not (torch.isfinite(kernel).all() and torch.isfinite(bias).all()):
        raise ModelError("The folded kernel holds NaN or infinity. Load undamaged weights and fold again.")
    plain = {4: nn.Conv2d, 5: nn.Conv3d}[kernel.ndim](
        conv.in_channels,
        conv.out_channels,
        tuple(kernel.shape[2:]),
        stride=conv.stride,
        padding=conv.padding,
        dilation=conv.dilation,
        groups=conv.groups,
        padding_mode=conv.padding_mode,
        device=kernel.device,
        dtype=conv.weight.dtype,
    )
    with torch.no_grad():
        plain.weight.copy_(kernel)
        plain.bias.copy_(bias)
    return plain


def norm_as_affine(bn: nn.Module) -> tuple[torch.Tensor, torch.Tensor]:
    """Return scale and shift (C,) float64 of a BatchNorm in eval mode."""
    std = torch.sqrt(bn.running_var.double() + bn.eps)
    weight = torch.ones_like(std) if bn.weight is None else bn.weight.detach().double()
    bias = torch.zeros_like(std) if bn.bias is None else bn.bias.detach().double()
    return weight / std, bias - bn.running_mean.double() * weight / std


def _store_mode(layer: _GMRConv, state: object, prefix: str, metadata: dict[str, object]) -> None:
    metadata["mode"] = layer.mode


def _refuse_other_mode(
    layer: _GMRConv, state: object, prefix: str, metadata: dict[str, object], *_: object
) -> None:
    stored = metadata.get("mode", layer.mode)
    if stored != layer.mode:
        raise ModelError(
            f"The checkpoint's {prefix.rstrip('.') or 'layer'} is of mode {stored!r}, the model's of "
            f"{layer.mode!r}, in which the same numbers make another kernel. Build the model with "
            f"mode={stored!r}."
        )


def _rings_of(side: int, mode: Mode) -> int:
    if mode == "narrow" and side > 1:
        return int(side / 2 / NARROW_SPACING_PX) + 1
    return side // 2 + 1
