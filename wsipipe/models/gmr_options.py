"""Checks of the options of a ring convolution."""

from collections.abc import Sequence

from wsipipe.errors import ModelError

Size = int | Sequence[int]


def single_size(size: Size, what: str) -> int:
    """Return the size that all axes share.

    Raises:
        ModelError: It differs between axes.
    """
    sizes = {size} if isinstance(size, int) else set(size)
    if len(sizes) != 1:
        raise ModelError(
            f"{what} {size} differs between axes, but a symmetric kernel needs one for all. Give one number."
        )
    return sizes.pop()


def odd_side(kernel_size: Size) -> int:
    """Return the side of a square kernel, px.

    Raises:
        ModelError: The kernel is not square, or its side is even.
    """
    sides = {kernel_size} if isinstance(kernel_size, int) else set(kernel_size)
    side = max(sides, default=0)
    if len(sides) != 1 or side < 1 or side % 2 == 0:
        raise ModelError(
            f"A GMR kernel cannot have {kernel_size} px. Use a square of odd side, such as 5 or 9."
        )
    return side


def padding_px(padding: Size | str | None, same: int) -> int:
    """Return the padding on each side, px; ``same`` keeps the size.

    Raises:
        ModelError: It differs between axes, or the word is unknown.
    """
    if isinstance(padding, str):
        check_choice("padding", padding, ("same", "valid"))
        return 0 if padding == "valid" else same
    return same if padding is None else single_size(padding, "padding")


def refuse_stride(stride: Size) -> None:
    """Refuse strides.

    Raises:
        ModelError: The stride is not 1.
    """
    if {stride} != {1} if isinstance(stride, int) else set(stride) != {1}:
        raise ModelError(
            f"A GMR convolution cannot have stride {stride}: a strided grid breaks its symmetry. Average "
            "pooling after it does the same and is symmetric."
        )


def check_groups(in_channels: int, out_channels: int, groups: int) -> None:
    """Refuse groups that do not divide the channels.

    Raises:
        ModelError: They do not divide inputs and outputs.
    """
    if groups < 1 or in_channels % groups or out_channels % groups:
        raise ModelError(f"groups {groups} must divide the {in_channels} inputs and {out_channels} outputs.")


def check_choice(what: str, value: str, known: Sequence[str]) -> None:
    """Refuse an unknown name of an option.

    Raises:
        ModelError: The name is unknown; lists the known ones.
    """
    if value not in known:
        raise ModelError(f"{what} {value!r} is unknown. Use one of {', '.join(known)}.")
