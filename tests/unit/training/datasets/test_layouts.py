"""Readers of published layouts: small synthetic folders are read as they were written."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from scipy.io import savemat

from wsipipe.errors import ConfigError
from wsipipe.training.datasets import FIELD_LAYOUTS, TILE_LAYOUTS, read_fields, read_tiles
from wsipipe.training.datasets.polygons import filled


def labels(gap: bool = False) -> np.ndarray:
    """Nine nuclei of 6 px in 48 x 64 px; ids with gaps if asked."""
    found = np.zeros((48, 64), np.int32)
    for index in range(9):
        y, x = 4 + 14 * (index // 3), 5 + 20 * (index % 3)
        found[y : y + 6, x : x + 6] = (7 * index + 3) if gap else index + 1
    return found


def picture(shape: tuple[int, int] = (48, 64)) -> Image.Image:
    rng = np.random.default_rng(0)
    return Image.fromarray(np.clip(rng.normal((200, 140, 180), 20, (*shape, 3)), 0, 255).astype(np.uint8))


def put(path: Path, content: Image.Image | np.ndarray | str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    if isinstance(content, str):
        path.write_text(content)
    elif path.suffix == ".npy":
        np.save(path, content)
    else:
        image = content if isinstance(content, Image.Image) else Image.fromarray(content)
        image.save(path)
    return path


def xml(found: np.ndarray) -> str:
    regions = ""
    for label in range(1, found.max() + 1):
        y, x = np.argwhere(found == label).min(0)
        corners = [(y, x), (y, x + 6), (y + 6, x + 6), (y + 6, x)]
        vertices = "".join(f'<Vertex X="{cx}" Y="{cy}"/>' for cy, cx in corners)
        regions += f"<Region NegativeROA='0'><Vertices>{vertices}</Vertices></Region>"
    return f"<Annotations><Annotation><Regions>{regions}</Regions></Annotation></Annotations>"


def monuseg_xml(folder: Path) -> None:
    put(folder / "Tissue Images" / "TCGA-B0-5698-01Z-00-DX1.tif", picture())
    put(folder / "Annotations" / "TCGA-B0-5698-01Z-00-DX1.xml", xml(labels()))


def cryonuseg(folder: Path) -> None:
    put(folder / "tissue images" / "Human_AdrenalGland_01.tif", picture())
    put(
        folder / "Annotator 1" / "deep" / "label masks modify" / "Human_AdrenalGland_01.tif",
        labels().astype(np.uint16),
    )


def nucls(folder: Path) -> None:
    mask = np.zeros((48, 64, 3), np.uint8)
    mask[..., 0], mask[..., 1], mask[..., 2] = 1, labels() > 0, labels()
    put(folder / "rgb" / "TCGA-A1_id-1_left-5.png", picture())
    put(folder / "mask" / "TCGA-A1_id-1_left-5.png", mask)


def dsb(folder: Path) -> None:
    put(folder / "abc" / "images" / "abc.png", picture())
    for label in range(1, 10):
        put(folder / "abc" / "masks" / f"{label}.png", np.where(labels() == label, 255, 0).astype(np.uint8))
    put(folder / "dark" / "images" / "dark.png", np.full((48, 64), 20, np.uint8))
    put(folder / "dark" / "masks" / "1.png", np.full((48, 64), 255, np.uint8))


def pannuke(folder: Path) -> None:
    masks = np.zeros((1, 48, 64, 6))
    masks[0, ..., 0], masks[0, ..., 3] = labels() * (labels() < 5), labels() * (labels() >= 5)
    put(folder / "fold1" / "images" / "fold1" / "images.npy", np.asarray(picture()).astype(float)[None])
    put(folder / "fold1" / "images" / "fold1" / "types.npy", np.array(["Breast"]))
    put(folder / "fold1" / "masks" / "fold1" / "masks.npy", masks)


def consep(folder: Path) -> None:
    put(folder / "Train" / "Images" / "train_1.png", picture())
    (folder / "Train" / "Labels").mkdir()
    savemat(folder / "Train" / "Labels" / "train_1.mat", {"inst_map": labels(gap=True).astype(float)})


def lizard(folder: Path) -> None:
    put(folder / "Lizard_Images1" / "crag_7.png", picture())
    (folder / "Labels").mkdir()
    savemat(folder / "Labels" / "crag_7.mat", {"inst_map": labels()})


def plain(folder: Path) -> None:
    put(folder / "images" / "one.jpg", picture())
    put(folder / "labels" / "one.tif", labels(gap=True).astype(np.uint16))
    put(folder / "index.csv", "id,mpp_um,group\none,0.46,patient 3\n")


def typed(folder: Path, name: str, codes: int) -> None:
    put(folder / "images" / f"{name}.png", picture())
    put(folder / "instances" / f"{name}.png", labels().astype(np.uint16))
    types = np.where(labels() > 0, (labels() - 1) % codes + 1, 0)
    put(folder / "types" / f"{name}.png", types.astype(np.uint8))


def consep_folder(folder: Path) -> None:
    typed(folder, "consep_train_1", 4)


def nucls_folder(folder: Path) -> None:
    typed(folder, "train_1", 2)


def tnbc_folder(folder: Path) -> None:
    put(folder / "images" / "tnbc_03_1.png", picture())
    put(folder / "instances" / "tnbc_03_1.png", labels().astype(np.uint16))
    put(folder / "index.csv", "id,patient\ntnbc_03_1,p3\n")


FIELDS = [
    (monuseg_xml, "monuseg", "kidney", 0.25),
    (cryonuseg, "cryonuseg", "cryonuseg/AdrenalGland", 0.25),
    (nucls, "nucls", "nucls/TCGA-A1", 0.2),
    (dsb, "dsb2018", "dsb2018/abc", 0.55),
    (pannuke, "pannuke", "pannuke/Breast", 0.25),
    (consep, "consep", "consep/train_1", 0.275),
    (consep_folder, "consep", "consep/consep_train_1", 0.275),
    (tnbc_folder, "tnbc", "tnbc/p3", 0.25),
    (nucls_folder, "nucls", "nucls/train_1", 0.25),
    (lizard, "lizard", "lizard/crag", 0.5),
    (plain, "mine", "patient 3", 0.46),
]


@pytest.mark.parametrize(
    ("make", "source", "group", "mpp"), FIELDS, ids=[make.__name__ for make, *_ in FIELDS]
)
@pytest.mark.parametrize("inside", ["", "nuclei"])
def test_fields_are_read_as_they_were_written(
    tmp_path: Path, make: object, source: str, group: str, mpp: float, inside: str
) -> None:
    (tmp_path / inside / "mine").mkdir(parents=True)
    make(tmp_path / inside / "mine")
    (field,) = read_fields(tmp_path if inside else tmp_path / "mine")
    assert (field.source, field.group, field.has_instances) == (source, group, True)
    assert field.mpp == pytest.approx(mpp)
    assert field.image.shape == (48, 64, 3)
    np.testing.assert_array_equal(field.labels > 0, labels() > 0)
    assert sorted(np.bincount(field.labels.ravel())[1:].tolist()) == [36] * 9


def test_every_nucleus_has_the_type_of_the_map(tmp_path: Path) -> None:
    consep_folder(tmp_path / "a")
    nucls_folder(tmp_path / "b")
    tnbc_folder(tmp_path / "c")
    of_consep, of_nucls, of_tnbc = read_fields(tmp_path)
    assert of_consep.types == ("other", "inflammatory", "epithelial", "spindle") * 2 + ("other",)
    assert of_nucls.types == ("non_tumour", "tumour") * 4 + ("non_tumour",)
    assert of_tnbc.types == ()


def test_a_type_that_has_no_name_is_refused(tmp_path: Path) -> None:
    typed(tmp_path, "train_1", 3)
    with pytest.raises(ConfigError, match=r"train_1\.png: the type map has number 3; known are 1, 2"):
        read_fields(tmp_path)


@pytest.mark.parametrize(
    "make", [consep_folder, tnbc_folder, nucls_folder, monuseg_xml], ids=lambda make: make.__name__
)
def test_the_index_overrides_what_a_layout_assumes(tmp_path: Path, make: Callable[[Path], None]) -> None:
    make(tmp_path)
    (assumed,) = read_fields(tmp_path)
    put(tmp_path / "index.csv", f"id,mpp,group\n{assumed.name},0.31,ward 9\n")
    (stated,) = read_fields(tmp_path)
    assert assumed.mpp in (0.25, 0.275)
    assert (stated.mpp, stated.group) == (0.31, "ward 9")
    put(tmp_path / "index.csv", f"id,mpp\n{assumed.name},forty\n")
    with pytest.raises(ConfigError, match=r"index\.csv gives 'forty' as um/px, which is not a number"):
        read_fields(tmp_path)


def test_two_layouts_in_one_folder_are_refused_by_name(tmp_path: Path) -> None:
    nucls_folder(tmp_path)
    put(tmp_path / "foreground" / "train_1.png", (labels() > 0).astype(np.uint8))
    with pytest.raises(ConfigError, match=r"fits more than one layout: monuseg .* and nucls .*"):
        read_fields(tmp_path)


def test_folders_of_several_data_sets_are_read_together(tmp_path: Path) -> None:
    for make in (pannuke, consep, plain):
        (tmp_path / make.__name__).mkdir()
        make(tmp_path / make.__name__)
    assert {field.source for field in read_fields(tmp_path)} == {"pannuke", "consep", "plain"}


def test_every_bad_file_is_named_at_once(tmp_path: Path) -> None:
    plain(tmp_path)
    put(tmp_path / "images" / "small.png", picture((20, 20)))
    put(tmp_path / "labels" / "small.png", labels().astype(np.uint8))
    put(tmp_path / "images" / "alone.png", picture())
    put(tmp_path / "images" / "broken.png", "no picture")
    put(tmp_path / "images" / "few.png", picture())
    put(tmp_path / "labels" / "few.png", (labels() == 1).astype(np.uint8))
    put(tmp_path / "images" / "rgb.png", picture())
    put(tmp_path / "labels" / "rgb.png", picture())
    put(tmp_path / "images" / "minus.png", picture())
    put(tmp_path / "labels" / "minus.npy", -labels())
    with pytest.raises(ConfigError) as told:
        read_fields(tmp_path)
    text = str(told.value)
    assert text.startswith("6 of the training files")
    for wanted in (
        "small.png: the image is 20 x 20 px, its labels 48 x 64",
        "alone.png: there are no labels",
    ):
        assert wanted in text
    for wanted in (
        "broken.png: ",
        "few.png: um/px is unknown",
        "rgb.png: the label map is",
        "has id -9",
    ):
        assert wanted in text
    assert "one.jpg" not in text


def test_an_unknown_scale_is_estimated_from_all_nuclei(tmp_path: Path) -> None:
    for name, factor in (("a", 2), ("b", 3)):
        found = labels().repeat(factor, 0).repeat(factor, 1).astype(np.uint8)
        put(tmp_path / "images" / f"{name}.png", picture(found.shape))
        put(tmp_path / "labels" / f"{name}.png", found)
    first, second = read_fields(tmp_path)
    assert first.mpp == second.mpp == pytest.approx(np.sqrt(29 / np.median([144] * 9 + [324] * 9)))
    put(tmp_path / "index.csv", "id,stain_group\na,pink\nb,pink\n")
    assert [round(field.mpp, 2) for field in read_fields(tmp_path)] == [0.45, 0.3]


def test_an_unknown_layout_says_what_is_known_and_seen(tmp_path: Path) -> None:
    put(tmp_path / "pictures" / "a.png", picture())
    put(tmp_path / "notes.txt", "hello")
    with pytest.raises(ConfigError) as told:
        read_fields(tmp_path)
    assert "notes.txt, pictures/" in str(told.value)
    assert all(layout.name in str(told.value) for layout in FIELD_LAYOUTS)
    with pytest.raises(ConfigError) as told:
        read_tiles(tmp_path)
    assert all(layout.name in str(told.value) for layout in TILE_LAYOUTS)
    with pytest.raises(ConfigError, match="does not exist"):
        read_fields(tmp_path / "nowhere")


def test_an_xml_without_outlines_is_named(tmp_path: Path) -> None:
    monuseg_xml(tmp_path)
    put(tmp_path / "Annotations" / "TCGA-B0-5698-01Z-00-DX1.xml", "<Annotations></Annotations>")
    with pytest.raises(ConfigError, match=r"DX1\.xml: the annotation has no outline"):
        read_fields(tmp_path)


def test_an_xml_that_expands_itself_is_refused(tmp_path: Path) -> None:
    monuseg_xml(tmp_path)
    bomb = '<!DOCTYPE x [<!ENTITY a "b">]><Annotations>&a;</Annotations>'
    put(tmp_path / "Annotations" / "TCGA-B0-5698-01Z-00-DX1.xml", bomb)
    with pytest.raises(ConfigError, match=r"DX1\.xml"):
        read_fields(tmp_path)


def test_an_outline_covers_the_pixels_inside_it() -> None:
    square = np.array([(2, 3), (2, 9), (8, 9), (8, 3)], float)
    expected = np.zeros((12, 12), int)
    expected[2:8, 3:9] = 1
    np.testing.assert_array_equal(filled([square], (12, 12)), expected)


def geojson(path: Path, shapes: list[tuple[str, list[tuple[float, float]]]]) -> None:
    features = [
        {
            "type": "Feature",
            "geometry": {"type": "Polygon", "coordinates": [[*corners, corners[0]]]},
            "properties": {"objectType": "annotation", "classification": {"name": name}} if name else {},
        }
        for name, corners in shapes
    ]
    path.write_text(json.dumps({"type": "FeatureCollection", "features": features}))


def box(y: float, x: float, height: float, width: float) -> list[tuple[float, float]]:
    return [(x, y), (x + width, y), (x + width, y + height), (x, y + height)]


@pytest.fixture
def annotated(tmp_path: Path, small_slide: Path) -> Path:
    (tmp_path / small_slide.name).symlink_to(small_slide)
    return tmp_path / f"{small_slide.stem}.geojson"


def test_a_slide_s_boxes_become_fields(annotated: Path, small_slide: Path) -> None:
    from wsipipe.geometry import Region
    from wsipipe.tiling.slide import open_slide

    geojson(
        annotated, [("Region*", box(100, 200, 64, 80)), ("", box(110, 210, 6, 8)), ("", box(600, 600, 9, 9))]
    )
    (field,) = read_fields(annotated.parent)
    assert field.mpp == pytest.approx(0.25)
    assert np.argwhere(field.labels == 1).min(0).tolist() == [10, 10]
    assert np.bincount(field.labels.ravel()).tolist() == [64 * 80 - 48, 48]
    with open_slide(small_slide) as slide:
        np.testing.assert_array_equal(field.image, slide.read(Region(100, 200, 64, 80), slide.mpp))


def test_a_slide_s_outlines_become_tiles(annotated: Path) -> None:
    geojson(
        annotated,
        [
            ("Tumor", box(0, 0, 512, 1024)),
            ("Stroma", box(512, 0, 512, 512)),
            ("Ignore*", box(0, 0, 600, 600)),
        ],
    )
    tiles = read_tiles(annotated.parent)
    assert sorted(tile.class_name for tile in tiles) == ["Stroma", "Tumor", "Tumor"]
    assert {(tile.image.shape, tile.mpp) for tile in tiles} == {((256, 256, 3), 0.5)}
    assert len({tile.group for tile in tiles}) == 1


def test_a_slide_without_boxes_says_how_to_draw_one(annotated: Path) -> None:
    geojson(annotated, [("", box(110, 210, 6, 8))])
    with pytest.raises(ConfigError, match=r"small\.geojson: no rectangle has the class Region\*"):
        read_fields(annotated.parent)
    with pytest.raises(ConfigError, match="no outline has a class"):
        read_tiles(annotated.parent)


def class_folders(folder: Path, names: tuple[str, ...]) -> None:
    for name in names:
        put(folder / name / "1.tif", picture())


NCT = ("ADI", "BACK", "DEB", "LYM", "MUC", "MUS", "NORM", "STR", "TUM")


@pytest.mark.parametrize(
    ("names", "source", "first", "mpp"),
    [
        (NCT, "nct_crc", "ADI", 0.5),
        (("01_TUMOR", "08_EMPTY"), "kather2016", "EMPTY", 0.495),
        (("benign", "malign"), "mine", "benign", 0.5),
    ],
)
def test_class_folders(tmp_path: Path, names: tuple[str, ...], source: str, first: str, mpp: float) -> None:
    class_folders(tmp_path / "mine", names)
    tiles = read_tiles(tmp_path / "mine")
    assert len(tiles) == len(names)
    assert {tile.source for tile in tiles} == {source}
    assert min(tile.class_name for tile in tiles) == first
    assert {tile.mpp for tile in tiles} == {mpp}


def test_an_index_tells_patient_and_scale(tmp_path: Path) -> None:
    class_folders(tmp_path, ("a", "b"))
    put(tmp_path / "index.csv", "file,patient,mpp_um\na/1.tif,7,0.3\n")
    first, second = read_tiles(tmp_path)
    assert (first.group.split("/")[1:], first.mpp) == (["7"], 0.3)
    assert (second.group.split("/")[1:], second.mpp) == (["b", "1.tif"], 0.5)
    put(tmp_path / "index.csv", "file,mpp_um\na/1.tif,300\n")
    with pytest.raises(ConfigError, match="300"):
        read_tiles(tmp_path)


def test_patch_camelyon(tmp_path: Path) -> None:
    h5py = pytest.importorskip("h5py")
    stem = tmp_path / "camelyonpatch_level_2_split_valid"
    pixels = np.arange(3 * 96 * 96 * 3, dtype=np.uint8).reshape(3, 96, 96, 3)
    with h5py.File(f"{stem}_x.h5", "w") as file:
        file["x"] = pixels
    with h5py.File(f"{stem}_y.h5", "w") as file:
        file["y"] = np.array([0, 1, 1]).reshape(3, 1, 1, 1)
    put(Path(f"{stem}_meta.csv"), ",coord_y,wsi\n0,1,w1\n1,2,w1\n2,3,w2\n")
    tiles = read_tiles(tmp_path)
    assert [tile.class_name for tile in tiles] == ["normal", "tumor", "tumor"]
    assert [tile.group for tile in tiles] == ["pcam/w1", "pcam/w1", "pcam/w2"]
    np.testing.assert_array_equal(tiles[2].image, pixels[2])
    with h5py.File(f"{stem}_y.h5", "w") as file:
        file["y"] = np.array([0, 1])
    with pytest.raises(ConfigError, match="3 images need as many labels of 0 and 1, not 2"):
        read_tiles(tmp_path)


def test_glas_as_published(tmp_path: Path) -> None:
    glands = np.zeros((128, 300), np.uint8)
    glands[:, :140] = 2
    put(tmp_path / "train_1.bmp", picture((128, 300)))
    put(tmp_path / "train_1_anno.bmp", glands)
    put(tmp_path / "Grade.csv", "name, patient ID, grade (GlaS)\ntrain_1, 4, benign\n")
    tiles = read_tiles(tmp_path)
    assert [(tile.class_name, tile.name, tile.group) for tile in tiles] == [
        ("gland_benign", "train_1_y0_x0", "glas/4")
    ]
    glands[:, 120:] = 0
    put(tmp_path / "train_1_anno.bmp", glands)
    assert [tile.class_name for tile in read_tiles(tmp_path)] == ["gland_benign", "stroma"]
    put(tmp_path / "test_9.bmp", picture((128, 300)))
    with pytest.raises(ConfigError, match=r"test_9\.bmp: Grade\.csv lacks"):
        read_tiles(tmp_path)
