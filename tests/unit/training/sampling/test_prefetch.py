"""Batches depend only on seed and step, whichever process makes them."""

import subprocess
import sys
from contextlib import closing
from itertools import islice

import numpy as np
import pytest

from wsipipe.training.sampling.prefetch import prefetched


def draw(rng: np.random.Generator) -> dict[str, np.ndarray]:
    return {"image": rng.integers(0, 255, (1, 4, 4, 3), dtype=np.uint8)}


def fail(rng: np.random.Generator) -> dict[str, np.ndarray]:
    raise OSError("disk gone")


def images(first: int, last: int, workers: int = 0, seed: int = 1) -> list[np.ndarray]:
    return [batch["image"] for batch in prefetched(draw, seed, range(first, last), workers)]


@pytest.mark.parametrize("workers", [0, 2])
def test_a_batch_depends_on_seed_and_step_alone(workers: int) -> None:
    whole = images(0, 7)
    np.testing.assert_array_equal(images(3, 7, workers), whole[3:])
    assert not np.array_equal(whole[0], whole[1])
    assert not np.array_equal(images(0, 1, seed=2)[0], whole[0])


def test_a_failure_of_the_sampler_is_raised() -> None:
    with pytest.raises(OSError, match="disk gone"):
        list(prefetched(fail, 0, range(3)))


def test_it_can_be_left_early() -> None:
    with closing(prefetched(draw, 0, range(10**9))) as batches:
        assert len(list(islice(batches, 2))) == 2


def test_a_worker_needs_no_torch() -> None:
    modules = "wsipipe.training.sampling.crops, wsipipe.training.sampling.mosaics"
    code = f"import sys, {modules}; print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
