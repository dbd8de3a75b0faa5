"""Storage modes of the image give the same result, JPEG nearly so."""

from pathlib import Path

import numpy as np

import wsipipe


def run(slide: Path, out: Path, scheduler: str, image: str) -> wsipipe.Result:
    done = wsipipe.run(
        "nuclei",
        slide,
        out / image.replace(":", "-"),
        settings=[f"tile.image={image}", "tile.shard_px=512"],
        resources=wsipipe.Resources(scheduler=scheduler, device="cpu"),
    )
    assert done.exit_code == 0, [slide.message for slide in done.slides]
    return done.results()[0]


def test_image_modes(small_slide: Path, tmp_path: Path, scheduler: str) -> None:
    lossless, none, jpeg = (
        run(small_slide, tmp_path, scheduler, mode) for mode in ("lossless", "none", "jpeg:90")
    )
    assert none.arrays.image == []
    assert np.array_equal(none.arrays.labels["nuclei"][0][...], lossless.arrays.labels["nuclei"][0][...])
    assert none.nuclei.equals(lossless.nuclei)
    difference = jpeg.arrays.image[0][...].astype(int) - lossless.arrays.image[0][...]
    assert 0 < np.abs(difference).mean() < 3
    assert abs(len(jpeg.nuclei) - len(lossless.nuclei)) <= 0.1 * len(lossless.nuclei)
