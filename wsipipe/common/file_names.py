"""File names as text that every console and page can show."""


def printable(text: str) -> str:
    r"""Replace bytes of a file name that are not UTF-8, which Python carries as surrogates, by ``\xNN``."""
    return text.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
