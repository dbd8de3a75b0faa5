"""Claim 1 of the design: any tiling gives the same result, bit for bit, with the shipped weights."""

from pathlib import Path

import numpy as np

import wsipipe


def run(slide: Path, out: Path, scheduler: str, shard_px: int, patch_px: int) -> wsipipe.Result:
    done = wsipipe.run(
        "nuclei",
        slide,
        out / str(shard_px),
        settings=[f"tile.shard_px={shard_px}", "tile.chunk_px=256", f"segment.patch_px={patch_px}"],
        resources=wsipipe.Resources(scheduler=scheduler, device="cpu"),
    )
    assert done.exit_code == 0, [slide.message for slide in done.slides]
    return done.results()[0]


def test_labels_and_table_are_the_same_for_every_shard_and_patch_size(
    small_slide: Path, tmp_path: Path, scheduler: str
) -> None:
    sizes = ((256, 64), (512, 128), (2048, 512))
    found = [run(small_slide, tmp_path, scheduler, *size) for size in sizes]
    whole = found[-1]
    assert whole.arrays.labels["nuclei"][0][...].max() > 20
    assert whole.arrays.labels["nuclei"][0].shape[0] > 256, (
        "the smallest shards must not hold the whole slide"
    )
    for result in found[:-1]:
        for name, levels in result.arrays.labels.items():
            for level, want in zip(levels, whole.arrays.labels[name], strict=True):
                assert np.array_equal(level[...], want[...]), name
        for name, array in result.arrays.probabilities.items():
            assert np.array_equal(array[...], whole.arrays.probabilities[name][...]), name
        assert result.nuclei.equals(whole.nuclei)
