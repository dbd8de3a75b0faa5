"""The tools that are compared, and the work that each does."""

from dataclasses import dataclass

RANDOM = "random weights: timing only"


@dataclass(frozen=True)
class Tool:
    """A tool and how to run it.

    Attributes:
        name: Name in the table.
        job: Module and function in ``peer_parts``; empty for a command.
        packages: Modules that its environment must have.
        note: Remark below the table.
        command: Arguments of ``wsipipe``, or the command with its arguments.
        once: Whether it runs in the first round only, because it takes minutes.
    """

    name: str
    job: str = ""
    packages: tuple[str, ...] = ()
    note: str = ""
    command: tuple[str, ...] = ()
    once: bool = False


READERS = (
    Tool("wsipipe", "reading:by_wsipipe", ("wsipipe",)),
    Tool("OpenSlide", "reading:by_openslide", ("openslide",)),
    Tool("tifffile + imagecodecs", "reading:by_segments", ("wsipipe", "tifffile", "imagecodecs")),
    Tool("fastslide", "reading:by_fastslide", ("fastslide",)),
    Tool("tiffslide", "reading:by_tiffslide", ("tiffslide",)),
    Tool("pyvips", "reading:by_pyvips", ("pyvips",)),
    Tool("TIAToolbox reader", "reading:by_tiatoolbox", ("tiatoolbox",)),
    Tool(
        "floor: decoding alone",
        "reading:decoding_alone",
        ("wsipipe", "tifffile", "imagecodecs"),
        "each compressed tile decoded once by imagecodecs and dropped",
    ),
)

CONVERTERS = (
    Tool(
        "wsipipe",
        "pyramid:by_wsipipe",
        ("wsipipe",),
        "`tiling_only` on workers that have started: tissue too, shards synced, read back and digested",
    ),
    Tool(
        "loop, OpenSlide + zarr",
        "pyramid:by_openslide",
        ("wsipipe", "openslide", "zarr"),
        "no sync or digest",
    ),
    Tool(
        "loop, imagecodecs + zarr",
        "pyramid:by_imagecodecs",
        ("wsipipe", "imagecodecs", "zarr"),
        "no sync or digest",
    ),
)

_LOOP = ("torch", "openslide", "skimage", "scipy", "torchvision")

NUCLEI = (
    Tool(
        "wsipipe",
        command=("run", "nuclei"),
        note="`wsipipe run nuclei`: image stored, polygons, GeoJSON, table, report",
    ),
    Tool("wsipipe, image not stored", command=("run", "nuclei", "--image", "none"), note="`--image none`"),
    Tool(
        "loop, plain U-Net16 + watershed",
        "hand_loops:nuclei",
        _LOOP,
        f"{RANDOM}; tiles of 256 px that overlap by 64, tissue by Otsu, channels-last; the watershed works "
        "on dark pixels, not on the noise of the network; a table without polygons",
    ),
    Tool(
        "TIAToolbox SemanticSegmentor, plain U-Net16",
        "tiatoolbox_jobs:nuclei_by_unet",
        ("tiatoolbox", "torch"),
        f"{RANDOM}; the same network and tiles, its own tissue mask; classes of pixels, no nuclei",
    ),
    Tool(
        "TIAToolbox NucleusInstanceSegmentor, HoVer-Net",
        "tiatoolbox_jobs:nuclei_by_hovernet",
        ("tiatoolbox", "torch"),
        f"{RANDOM}; instances of a random network are absurd, so only the network's ratio counts; the rest "
        "takes another time with trained weights; same scale as the others, though made for 0.25 um/px",
        once=True,
    ),
)

TISSUE = (
    Tool(
        "wsipipe",
        command=("run", "tissue"),
        note="`wsipipe run tissue`: image stored, GeoJSON, report; a class every 16 um, where patches of "
        "224 px give one every 112 um",
    ),
    Tool("wsipipe, image not stored", command=("run", "tissue", "--image", "none"), note="`--image none`"),
    Tool(
        "loop, ResNet-18",
        "hand_loops:tissue_by_resnet18",
        _LOOP,
        f"{RANDOM}; patches of 224 px side by side, as WSInfer",
    ),
    Tool(
        "loop, ResNet-50",
        "hand_loops:tissue_by_resnet50",
        _LOOP,
        f"{RANDOM}; patches of 224 px side by side, as WSInfer",
    ),
    Tool(
        "TIAToolbox PatchPredictor, ResNet-18",
        "tiatoolbox_jobs:tissue_by_resnet18",
        ("tiatoolbox", "torch"),
        f"{RANDOM}; patches of 224 px side by side, its own tissue mask",
    ),
)

COMMANDS = (
    Tool("wsipipe --help", command=("wsipipe", "--help")),
    Tool("wsipipe --version", command=("wsipipe", "--version")),
    Tool("tiatoolbox --help", command=("tiatoolbox", "--help")),
    Tool("tiatoolbox --version", command=("tiatoolbox", "--version")),
    Tool("wsinfer --help", command=("wsinfer", "--help")),
    Tool("import wsipipe", command=("python", "wsipipe")),
    Tool("import openslide", command=("python", "openslide")),
    Tool("import fastslide", command=("python", "fastslide")),
    Tool("import TIAToolbox's engines", command=("python", "tiatoolbox.models.engine.patch_predictor")),
)


def packages() -> list[str]:
    """Return all modules that some tool needs, sorted."""
    tools = (*READERS, *CONVERTERS, *NUCLEI, *TISSUE)
    return sorted({module for tool in tools for module in tool.packages})
