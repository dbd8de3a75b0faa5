"""Recognise TIFF files by their first bytes."""

_HEADS = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")


def is_tiff(head: bytes) -> bool:
    """Recognise TIFF and BigTIFF by the first bytes."""
    return head[:4] in _HEADS
