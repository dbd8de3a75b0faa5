"""Pooling and up-sampling that are bitwise equal in all orientations.

With the fused ring convolution they make whole networks equivariant to the last bit, not only up to rounding:
each sum is written so that rotating the input only swaps the operands of an addition.
"""

import torch
from torch.nn import functional


def exact_pool(x: torch.Tensor) -> torch.Tensor:
    """Return the mean of each 2x2 block.

    (B, C, H, W) -> (B, C, H / 2, W / 2), even extents. Diagonals are added first, in float32 at least, and
    the result is rounded once.
    """
    wide = x.to(torch.promote_types(x.dtype, torch.float32))
    falling = wide[..., 0::2, 0::2] + wide[..., 1::2, 1::2]
    return ((falling + (wide[..., 0::2, 1::2] + wide[..., 1::2, 0::2])) * 0.25).to(x.dtype)


def exact_upsample(x: torch.Tensor) -> torch.Tensor:
    """Up-sample twice, bilinearly by pixel centres.

    (B, C, H, W) -> (B, C, 2 H, 2 W), like ``align_corners=False``: (9 near + 3 (beside + above) + far) / 16,
    in float32 at least, rounded once.
    """
    wide = x.to(torch.promote_types(x.dtype, torch.float32))
    edged = functional.pad(wide, (1, 1, 1, 1), mode="replicate")
    height, width = x.shape[-2:]
    rows = {0: slice(0, height), 1: slice(2, height + 2)}
    cols = {0: slice(0, width), 1: slice(2, width + 2)}
    out = x.new_empty(*x.shape[:-2], 2 * height, 2 * width)
    out = out.contiguous(memory_format=torch.channels_last) if _channels_last(x) else out
    for i, row in rows.items():
        for j, col in cols.items():
            beside, above = edged[..., 1:-1, col], edged[..., row, 1:-1]
            out[..., i::2, j::2] = (9 * wide + 3 * (beside + above) + edged[..., row, col]) / 16
    return out


def _channels_last(x: torch.Tensor) -> bool:
    return x.is_contiguous(memory_format=torch.channels_last) and not x.is_contiguous()
