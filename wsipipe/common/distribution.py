"""The distribution's name, its extras, and a clash with another project.

The package index has a project ``wsipipe`` of another author, with the same import name; see
docs/install.md.
"""

from pathlib import Path

from wsipipe.errors import ConfigError

DISTRIBUTION = "wsipipe-gmr"
_SITE = Path(__file__).parents[2]


def install_command(extra: str) -> str:
    """Return the command line that installs an extra."""
    return f"pip install '{DISTRIBUTION}[{extra}]'"


def clashing_distribution(site: Path = _SITE) -> str | None:
    """Return the other distribution that has files in this package.

    The folder is listed instead of asking ``importlib.metadata``, which takes longer than the rest of the
    start.

    Args:
        site: Folder that contains this package, ``site-packages`` once installed.

    Returns:
        Name and version, such as ``wsipipe 0.1.6``; None if there is none.
    """
    found = sorted(path.stem for path in site.glob("wsipipe-*.*-info"))
    return found[0].replace("-", " ", 1) if found else None


def refuse_clash(site: Path = _SITE) -> None:
    """Refuse to work with files of two projects in one folder.

    Raises:
        ConfigError: Another distribution is installed into the folder of this package.
    """
    if other := clashing_distribution(site):
        raise ConfigError(
            f"The package in {site / 'wsipipe'} has files of two projects: {DISTRIBUTION}, and {other} of "
            f"another author. Uninstall both (pip uninstall {other.partition(' ')[0]} {DISTRIBUTION}), then "
            f"install {DISTRIBUTION} again; use the other project in another environment."
        )
