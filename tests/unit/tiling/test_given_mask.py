"""A mask says the same however it is stored, or is refused with what was found."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image

from wsipipe.errors import SlideError
from wsipipe.tiling import mask_samples
from wsipipe.tiling.given_mask import read_given_mask

HEIGHT, WIDTH = 24, 40
EXTENT = (240.0, 400.0)
MARKED = np.zeros((HEIGHT, WIDTH), np.uint8)
MARKED[2:11, 3:18] = MARKED[8:20, 22:25] = 1
RGB = np.dstack([MARKED * 0, MARKED * 3, MARKED * 90])


def read(path: Path, shape: tuple[int, int] = (HEIGHT, WIDTH)) -> np.ndarray:
    """One sample in the middle of each px."""
    y, x = ((np.arange(n) + 0.5) * side / n for n, side in zip(shape, EXTENT, strict=True))
    return read_given_mask(path, EXTENT, y, x)


def image(values: np.ndarray, mode: str | None = None) -> Image.Image:
    return Image.fromarray(values) if mode is None else Image.fromarray(values).convert(mode)


def palette(colours: list[int], transparent: int | None = None) -> Callable[[Path], None]:
    def save(path: Path) -> None:
        picture = image(MARKED)
        picture.putpalette(colours + [0] * (768 - len(colours)))
        picture.save(path, **({} if transparent is None else {"transparency": transparent}))

    return save


def png(values: np.ndarray, **how: object) -> Callable[[Path], None]:
    return lambda path: image(values).save(path, **how)


def tif(values: np.ndarray, **how: object) -> Callable[[Path], None]:
    return lambda path: tifffile.imwrite(path, values, **how)


def alpha(colour: int, opacity: np.ndarray) -> np.ndarray:
    return np.dstack([np.full((HEIGHT, WIDTH, 3), colour, np.uint8), opacity])


def pyramid(path: Path) -> None:
    with tifffile.TiffWriter(path) as writer:
        writer.write(MARKED * 7, tile=(16, 16), compression="zlib", subifds=1)
        writer.write(MARKED[::2, ::2] * 7, tile=(16, 16), subfiletype=1)
        writer.write(np.zeros((10, 10, 3), np.uint8), photometric="rgb")


def flat_pyramid(path: Path) -> None:
    with tifffile.TiffWriter(path) as writer:
        writer.write(np.zeros((10, 10), np.uint8))
        writer.write(MARKED, tile=(16, 16))
        writer.write(MARKED[::2, ::2], tile=(16, 16), subfiletype=1)


def nan(values: np.ndarray) -> np.ndarray:
    return np.where(values, values.astype(np.float32) / 3, np.nan).astype(np.float32)


STORED: dict[str, Callable[[Path], None]] = {
    "255.png": png(MARKED * 255),
    "1.png": png(MARKED),
    "bit.png": lambda path: image(MARKED * 255, "1").save(path),
    "16bit.png": png(MARKED.astype(np.uint16)),
    "16bit_large.png": png(MARKED.astype(np.uint16) * 40_000),
    "rgb_dark.png": png(RGB),
    "rgba_opaque.png": png(np.dstack([RGB, np.full_like(MARKED, 255)])),
    "rgba_void.png": png(np.dstack([RGB, np.zeros_like(MARKED)])),
    "white_by_alpha.png": png(alpha(255, MARKED * 255)),
    "black_by_alpha.png": png(alpha(0, MARKED * 255)),
    "half_alpha.png": png(alpha(90, MARKED * 120)),
    "colour_and_alpha.png": png(np.dstack([RGB, np.maximum(MARKED * 255, np.eye(HEIGHT, WIDTH) > 0)])),
    "la.png": png(np.dstack([np.full_like(MARKED, 255), MARKED * 255])),
    "palette.png": palette([0, 0, 0, 0, 0, 1]),
    "palette_turned.png": lambda path: (
        picture := image(1 - MARKED),
        picture.putpalette([255, 255, 255, 0, 0, 0]),
        picture.save(path),
    ),
    "palette_clear.png": palette([9, 9, 9, 8, 8, 8], transparent=0),
    "grey_clear.png": png(MARKED + 3, transparency=3),
    "255.bmp": png(MARKED * 255),
    "one.gif": png(MARKED * 255),
    "q50.jpg": lambda path: image(np.kron(MARKED * 255, np.ones((8, 8), np.uint8))).save(path, quality=50),
    "q20.webp": lambda path: image(np.kron(MARKED * 255, np.ones((8, 8), np.uint8))).save(path, quality=20),
    "bool.tif": tif(MARKED > 0),
    "8.tif": tif(MARKED),
    "16.tif": tif(MARKED.astype(np.uint16) * 300),
    "u32.tif": tif(MARKED.astype(np.uint32) << 20),
    "i16.tif": tif(np.where(MARKED, 5, -3).astype(np.int16)),
    "f32.tif": tif(MARKED / np.float32(1000)),
    "f64_nan.tif": tif(nan(MARKED)),
    "white_is_zero.tif": tif((1 - MARKED) * 255, photometric="miniswhite"),
    "fax.tif": lambda path: image(MARKED * 255, "1").save(path, compression="group4"),
    "rgb.tif": tif(RGB, photometric="rgb"),
    "planes.tif": tif(np.moveaxis(RGB, -1, 0).copy(), photometric="rgb", planarconfig="separate"),
    "alpha.tif": tif(alpha(255, MARKED * 255), photometric="rgb", extrasamples=["unassalpha"]),
    "unnamed_alpha.tif": tif(alpha(255, MARKED * 255), photometric="rgb", extrasamples=["unspecified"]),
    "palette.tif": lambda path: palette([0, 0, 0, 0, 0, 4])(path),
    "lzw_strips.tif": tif(MARKED, compression="lzw", rowsperstrip=5),
    "zstd_tiles.tif": tif(MARKED, compression="zstd", tile=(16, 16), bigtiff=True),
    "labels.ome.tif": tif(MARKED.astype(np.uint16) * 17, ome=True, metadata={"axes": "YX"}),
    "pyramid.tif": pyramid,
    "flat_pyramid.tif": flat_pyramid,
}


@pytest.mark.parametrize("name", STORED)
def test_every_way_to_store_it_reads_the_same(name: str, tmp_path: Path) -> None:
    STORED[name](tmp_path / name)
    np.testing.assert_array_equal(read(tmp_path / name), MARKED > 0)


def turned(orientation: int) -> np.ndarray:
    """What a file has to hold to look like MARKED when it is shown by its tag."""
    across = MARKED.T if orientation >= 5 else MARKED
    return {
        1: across,
        2: across[:, ::-1],
        3: across[::-1, ::-1],
        4: across[::-1],
        5: across,
        6: across[::-1],
        7: across[::-1, ::-1],
        8: across[:, ::-1],
    }[orientation].copy()


@pytest.mark.parametrize("suffix", ["png", "tif"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_the_orientation_tag_is_obeyed(suffix: str, orientation: int, tmp_path: Path) -> None:
    path = tmp_path / f"mask.{suffix}"
    if suffix == "tif":
        tifffile.imwrite(path, turned(orientation), extratags=[(274, 3, 1, orientation, True)])
    else:
        exif = Image.Exif()
        exif[274] = orientation
        image(turned(orientation)).save(path, exif=exif)
    np.testing.assert_array_equal(read(path), MARKED > 0)


REFUSED: dict[str, tuple[Callable[[Path], None], str]] = {
    "black_palette.png": (palette([0] * 6), "all colours of its palette are black"),
    "turned.png": (png(MARKED.T.copy()), r"24 x 40 px \(width x height, 0.60.*400 x 240 px \(1.67 to 1"),
    "wide.png": (png(np.pad(MARKED, ((0, 0), (0, 4)))), "does not fit the slide"),
    "thumbnail.png": (png(90 + 40 * np.dstack([MARKED] * 3)), "none of its px is black"),
    "labels_from_1.tif": (tif(MARKED + 1), "none of its px is black"),
    "dark.jpg": (png(MARKED * 100), "neither 0 nor 255"),
    "stack.tif": (tif(np.stack([MARKED] * 3), photometric="minisblack"), "holds 3 planes of one size"),
    "five.tif": (tif(np.dstack([MARKED] * 5), photometric="minisblack", planarconfig=1), "one plane"),
    "complex.tif": (tif(MARKED.astype(np.complex64)), "complex64"),
    "mask.npy": (lambda path: np.save(path, MARKED > 0), "no known image format"),
    "text.png": (lambda path: path.write_text("x"), "no known image format"),
    "folder": (lambda path: path.mkdir(), "is a folder"),
    "cut.png": (lambda path: (png(np.random.default_rng(0).integers(0, 9, (240, 400), np.uint8))(path),
                              path.write_bytes(path.read_bytes()[:5000])), "is not readable"),
    "cut.tif": (lambda path: (tif(np.kron(MARKED, np.ones((9, 9), np.uint8)), compression="zlib")(path),
                              path.write_bytes(path.read_bytes()[:300])), "is not readable"),
    "moving.gif": (lambda path: image(MARKED).save(path, save_all=True, append_images=[image(1 - MARKED)]),
                   "holds 2 images"),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_no_mask_of_the_slide_is_refused_by_name(name: str, tmp_path: Path) -> None:
    save, message = REFUSED[name]
    save(tmp_path / name)
    with pytest.raises(SlideError, match=message) as caught:
        read(tmp_path / name)
    assert name in str(caught.value)


def test_an_empty_and_a_full_mask_are_masks(tmp_path: Path) -> None:
    for value in (0, 1, 255):
        png(np.full((HEIGHT, WIDTH), value, np.uint8))(tmp_path / "mask.png")
        assert (read(tmp_path / "mask.png") == (value > 0)).all()


def test_an_aspect_within_rounding_or_5_percent_is_taken(tmp_path: Path) -> None:
    for shape in ((3, 5), (24, 41), (25, 40), (2, 3)):
        png(np.full(shape, 255, np.uint8))(tmp_path / "mask.png")
        assert read(tmp_path / "mask.png").all()


def test_beyond_the_scanned_area_there_is_no_tissue(tmp_path: Path) -> None:
    png(np.full((HEIGHT, WIDTH), 255, np.uint8))(tmp_path / "mask.png")
    found = read_given_mask(
        tmp_path / "mask.png", EXTENT, np.array([-1.0, 0, 239, 240]), np.array([-9.0, 5, 401])
    )
    np.testing.assert_array_equal(found, [[0, 0, 0], [0, 1, 0], [0, 1, 0], [0, 0, 0]])


@pytest.mark.parametrize("name", ["large.png", "large.tif"])
def test_masks_beyond_pillows_limit_are_read_and_larger_ones_refused(
    name: str, tmp_path: Path, monkeypatch
) -> None:
    path = tmp_path / name
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 50)
    (png if name.endswith("png") else tif)(MARKED * 255)(path)
    np.testing.assert_array_equal(read(path), MARKED > 0)
    monkeypatch.setattr(mask_samples, "_MOST_BYTES", HEIGHT * WIDTH - 1)
    with pytest.raises(SlideError, match=r"too large: 40 x 24 px take .* save it smaller"):
        read(path)


def test_tiles_of_a_tiff_are_read_one_by_one_whatever_its_size(tmp_path: Path, monkeypatch) -> None:
    tif(MARKED, tile=(16, 16), compression="zlib")(tmp_path / "mask.tif")
    monkeypatch.setattr(mask_samples, "_MOST_BYTES", 256)
    np.testing.assert_array_equal(read(tmp_path / "mask.tif"), MARKED > 0)


def test_a_jpeg_beyond_pillows_limit_is_refused_by_name(tmp_path: Path, monkeypatch) -> None:
    image(MARKED * 255).save(tmp_path / "mask.jpg")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 50)
    with pytest.raises(SlideError, match="only PNG and TIFF"):
        read(tmp_path / "mask.jpg")
