"""Readers of data sets, one per layout.

The layout of a folder is recognised by its content. docs/extend/dataset_layout.md tells how to add one.
"""

from collections.abc import Callable
from pathlib import Path

from wsipipe.training.datasets import (
    classes,
    consep,
    glas,
    masks,
    monuseg,
    pannuke,
    pcam,
    plain,
    polygons,
    qupath,
    tnbc,
)
from wsipipe.training.datasets.annotated_slides import AnnotatedSlides, DataSource
from wsipipe.training.datasets.files import with_index
from wsipipe.training.datasets.glass import read_glass
from wsipipe.training.datasets.layout import Layout, Problems, read_as
from wsipipe.training.samples import Field, Tile

OWN = "images/, labels/ (instance ids, png, tif or npy), index.csv (id,mpp_um,group) if any"
CLASSES = "a folder of images a class, index.csv (file,mpp_um,patient) if any"
FIELD_LAYOUTS: tuple[Layout[Field], ...] = (
    Layout("monuseg", "images/, foreground/, instances/ (masks)", monuseg.fits, monuseg.read),
    Layout("monuseg, kumar", "Tissue Images/, Annotations/*.xml", polygons.fits, polygons.read),
    Layout("cryonuseg", "tissue images/, .../label masks modify/", masks.is_cryonuseg, masks.read_cryonuseg),
    Layout("consep", "images/consep_*, instances/, types/, index.csv", consep.fits, consep.read),
    Layout("tnbc", "images/tnbc_*, instances/, index.csv", tnbc.fits, tnbc.read),
    Layout("nucls", "images/train_*, instances/, types/", plain.is_nucls, plain.read_nucls),
    Layout("nucls as published", "rgb/, mask/", masks.is_nucls, masks.read_nucls),
    Layout("dsb2018", "images/, instances/, index.csv (stain_group)", plain.is_dsb2018, plain.read_dsb2018),
    Layout("dsb2018 as published", "ID/images/, ID/masks/", masks.is_dsb, masks.read_dsb),
    Layout("pannuke", "images.npy, masks.npy (also in foldN/...)", pannuke.fits, pannuke.read, True),
    Layout("consep, lizard", "Labels/*.mat (inst_map) and images", masks.has_mat, masks.read_mat, True),
    Layout("plain", OWN, plain.fits, plain.read, general=True),
    Layout(
        "qupath", "slides with SLIDE.geojson, rectangles of class Region*", qupath.fits, qupath.read_fields
    ),
)
TILE_LAYOUTS: tuple[Layout[Tile], ...] = (
    Layout("nct_crc", "ADI/ BACK/ DEB/ LYM/ MUC/ MUS/ NORM/ STR/ TUM/", classes.is_nct, classes.read_nct),
    Layout("kather2016", "01_TUMOR/ ... 08_EMPTY/", classes.is_kather, classes.read_kather),
    Layout("pcam", "..._x.h5 and ..._y.h5", pcam.fits, pcam.read),
    Layout("glas as published", "*.bmp, *_anno.bmp, Grade.csv", glas.fits, glas.read),
    Layout("classes", CLASSES, classes.fits, classes.read, general=True),
    Layout("qupath", "slides with SLIDE.geojson whose outlines have classes", qupath.fits, qupath.read_tiles),
)


def read_fields(folder: DataSource) -> list[Field]:
    """Read the fields with nuclei of a folder.

    They are in ``folder``, in its ``nuclei/``, or in all subfolders of a known layout. Scale and group in a
    folder's ``index.csv`` override what the layout assumes.

    Raises:
        ConfigError: No layout fits (lists the known ones and the content), or files cannot be used (lists
            all).
    """
    if isinstance(folder, AnnotatedSlides):
        return _checked(folder, qupath.fields_of)
    return read_as(FIELD_LAYOUTS, folder, "nuclei", with_index)


def read_tiles(folder: DataSource) -> list[Tile]:
    """Read the tissue tiles of a folder.

    They are in ``folder``, in its ``tissue/``, or in all subfolders of a known layout. Where a folder has
    ``slides/`` beside ``tissue/``, tiles of class BACK are cut from their glass.

    Raises:
        ConfigError: No layout fits (lists the known ones and the content), or files cannot be used (lists
            all).
    """
    if isinstance(folder, AnnotatedSlides):
        return _checked(folder, qupath.tiles_of)
    tiles = read_as(TILE_LAYOUTS, folder, "tissue")
    if (folder / "slides").is_dir() and (folder / "tissue").is_dir():
        problems = Problems()
        tiles += read_glass(folder / "slides", problems)
        problems.check()
    return tiles


def _checked[T](
    annotated: AnnotatedSlides, read: Callable[[list[tuple[Path, Path]], Problems], list[T]]
) -> list[T]:
    """Read the samples of annotated slides.

    Raises:
        ConfigError: The annotations fit no slide, or files cannot be used (lists all).
    """
    problems = Problems()
    samples = read(annotated.pairs(), problems)
    problems.check()
    return samples
