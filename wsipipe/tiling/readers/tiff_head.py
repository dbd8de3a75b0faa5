"""Recognise TIFF files by their first bytes."""

_HEADS = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")


def is_tiff(head: bytes) -> bool:
    """Return whether the first bytes are those of a TIFF or BigTIFF."""
    return head[:4] in _HEADS
