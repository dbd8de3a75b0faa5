"""P7: hostile slides, workflows, weights and names are harmless, and no identifier is published."""

import json
import pickle
import stat
from pathlib import Path

import numpy as np
import pytest
import tifffile
import zarr

from wsipipe.errors import ConfigError, ModelError, SlideError
from wsipipe.models.cards.weights import find_weights
from wsipipe.pipeline.cluster.client import connect
from wsipipe.pipeline.run import Resources, run
from wsipipe.stages.workflow import load_workflow
from wsipipe.tiling.collect import slide_id_of
from wsipipe.tiling.readers.ome_xml import parse_ome
from wsipipe.tiling.slide import open_slide

NAME = "DOE^JANE-19570314"
INK = (13, 200, 77)


@pytest.fixture
def patient_slide(tmp_path: Path) -> Path:
    """An Aperio slide whose description, label and macro image identify the patient."""
    path = tmp_path / "case.svs"
    noise = np.random.default_rng(0).integers(120, 230, (512, 512, 3), np.uint8)
    photograph = np.full((64, 96, 3), INK, np.uint8)
    words = (
        f"Aperio Image Library v12\r\n512x512 [0,0 512x512] (256x256)|AppMag = 20|MPP = 0.5|Patient = {NAME}"
    )
    with tifffile.TiffWriter(path) as tiff:
        options = {"photometric": "rgb", "metadata": None}
        tiff.write(noise, tile=(256, 256), description=words, **options)
        tiff.write(noise[::4, ::4].copy(), rowsperstrip=128, description=words, **options)
        tiff.write(
            photograph, rowsperstrip=64, description=f"Aperio\r\nlabel 96x64 {NAME}", subfiletype=1, **options
        )
        tiff.write(
            photograph, rowsperstrip=64, description=f"Aperio\r\nmacro 96x64 {NAME}", subfiletype=9, **options
        )
    return path


def outputs(out: Path) -> list[Path]:
    return [path for path in out.rglob("*") if path.is_file()]


def test_no_identifier_is_published_unless_requested(
    patient_slide: Path, scheduler: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    resources = Resources(scheduler=scheduler)
    with open_slide(patient_slide) as slide:
        assert slide.vendor == "aperio"
        assert set(slide.properties) == {"vendor", "objective_power", "mpp_source"}
    done = run("tiling_only", patient_slide, tmp_path / "out", resources=resources)
    assert done.exit_code == 0, done.slides[0].message
    assert NAME.encode() in patient_slide.read_bytes()
    assert [path for path in outputs(tmp_path / "out") if NAME.encode() in path.read_bytes()] == []
    assert NAME not in "".join(capfd.readouterr())
    for level in done.results()[0].arrays.image:
        assert not (np.moveaxis(level[...], 0, -1) == INK).all(axis=-1).any()
    asked = run(
        "tiling_only", patient_slide, tmp_path / "asked", resources=resources, include_label_images=True
    )
    folder = asked.results()[0].folder
    assert {path.name for path in folder.glob("*.png")} == {"overview.png", "label.png", "macro.png"}
    assert asked.results()[0].damaged() == []


def test_work_is_private(patient_slide: Path, scheduler: str, tmp_path: Path) -> None:
    run("tiling_only", patient_slide, tmp_path / "out", resources=Resources(scheduler=scheduler))
    assert stat.S_IMODE((tmp_path / "out" / ".work").stat().st_mode) == 0o700


def test_yaml_makes_no_objects(tmp_path: Path) -> None:
    ran = tmp_path / "ran"
    (tmp_path / "w.yaml").write_text(f"name: !!python/object/apply:os.mkdir ['{ran}']\n")
    with pytest.raises(ConfigError, match="not YAML"):
        load_workflow(tmp_path / "w.yaml")
    assert not ran.exists()


def test_pickles_are_refused(tmp_path: Path) -> None:
    class Bomb:
        def __reduce__(self) -> tuple:
            return Path.touch, (tmp_path / "ran",)

    (tmp_path / "w.pt").write_bytes(pickle.dumps(Bomb()))
    with pytest.raises(ModelError, match=r"nor an \.onnx file, and others can run code"):
        find_weights(tmp_path / "w.pt")
    from wsipipe.models.cards.unpickle import unpickle

    with pytest.raises(ModelError, match="more than tensors"):
        unpickle(tmp_path / "w.pt", tmp_path / "w.safetensors")
    assert not (tmp_path / "ran").exists()


def test_a_state_dict_is_converted_once_and_with_a_warning(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import torch
    from safetensors.torch import load_file

    from wsipipe.models.cards import unpickle as module
    from wsipipe.models.cards.unpickle import unpickle

    said: list[str] = []
    monkeypatch.setattr(module.log, "warning", lambda text, *_: said.append(text))

    tensors = {"a": torch.arange(6.0).reshape(2, 3), "b": torch.ones(1)}
    torch.save({"state_dict": tensors}, tmp_path / "w.pt")
    assert unpickle(tmp_path / "w.pt", tmp_path / "w.safetensors") == ["a", "b"]
    assert all(torch.equal(load_file(tmp_path / "w.safetensors")[name], tensors[name]) for name in tensors)
    assert "not a sandbox" in said[0]


def test_an_xml_bomb_does_not_go_off() -> None:
    entities = "".join(f'<!ENTITY a{i} "{f"&a{i - 1};" * 10}">' for i in range(1, 12))
    bomb = f'<!DOCTYPE x [<!ENTITY a0 "boom">{entities}]><OME xmlns="o"><Pixels PhysicalSizeX="&a11;"/></OME>'
    assert parse_ome(bomb) is None
    outside = '<!DOCTYPE x [<!ENTITY f SYSTEM "file:///etc/passwd">]><OME>&f;</OME>'
    assert parse_ome(outside) is None


@pytest.mark.parametrize(
    "name", ["../../etc/passwd.svs", "..svs", "<script>alert(1)</script>.svs", "a\nb.svs"]
)
def test_names_of_slides_stay_inside_out(tmp_path: Path, name: str) -> None:
    slide_id = slide_id_of(tmp_path / name)
    assert (tmp_path / slide_id).resolve().parent == tmp_path.resolve()
    assert not set(slide_id) & set("/<>\n'\" ")


def made_zarr(path: Path, **options: object) -> Path:
    group = zarr.open_group(path, mode="w", zarr_format=2)
    options = {"shape": (3, 64, 64), "chunks": (3, 64, 64), "dtype": "uint8"} | options
    group.create_array("0", **options)
    axes = [{"name": name, "type": "space", "unit": "micrometer"} for name in "cyx"]
    scale = [{"type": "scale", "scale": [1, 0.5, 0.5]}]
    datasets = [{"path": "0", "coordinateTransformations": scale}]
    group.attrs["multiscales"] = [{"version": "0.4", "axes": axes, "datasets": datasets}]
    return path


def test_strange_codecs_and_huge_chunks_of_foreign_zarr_are_refused(tmp_path: Path) -> None:
    with open_slide(made_zarr(tmp_path / "plain.zarr")) as slide:
        assert slide.levels[0].shape == (64, 64)
    strange = made_zarr(tmp_path / "strange.zarr")
    metadata = json.loads((strange / "0/.zarray").read_text()) | {
        "compressor": {"id": "lzma", "format": 1, "check": -1, "preset": None, "filters": None}
    }
    (strange / "0/.zarray").write_text(json.dumps(metadata))
    with pytest.raises(SlideError, match="LZMA"):
        open_slide(strange)
    huge = made_zarr(tmp_path / "huge.zarr", shape=(3, 1 << 15, 1 << 15), chunks=(3, 1 << 15, 1 << 15))
    with pytest.raises(SlideError, match=r"3\.2 GB"):
        open_slide(huge)


def test_a_scheduler_off_loopback_needs_tls() -> None:
    with pytest.raises(ConfigError, match="TLS"), connect("tcp://192.0.2.1:8786"):
        pass
