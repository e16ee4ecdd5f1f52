"""Tests of what is learned from: reading it as published, splitting it, bringing it to crops."""

import json
import zipfile
from collections import Counter
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spotscan.errors import InputError, UsageError
from spotscan.learn.datasets import folder_per_class, ham10000, pad_ufes_20
from spotscan.learn.framing import Framing, as_photographed, cut, framed
from spotscan.learn.masks import simple_mask
from spotscan.learn.prepare import PrepareConfig, prepare
from spotscan.learn.prepared import OUTPUTS, read_crops
from spotscan.learn.scenes import DrawnScene, Mark
from spotscan.learn.sources import SPLITS, Patch, skin_ita_deg, split

SKIN, MOLE, CHERRY = (205, 160, 135), (90, 55, 40), (150, 30, 35)
PAD_COLUMNS = "patient_id,lesion_id,smoke,age,fitspatrick,region,diagnostic,itch,img_id,biopsed"
HAM_COLUMNS = "lesion_id,image_id,dx,dx_type,age,sex,localization"


def close_up(colour=MOLE, size=(150, 200), seed=0, centre=(0.5, 0.5), radius=0.2):
    """A mark on skin, (H, W, 3), and its mask."""
    rng = np.random.default_rng(seed)
    height, width = size
    y, x = np.mgrid[:height, :width]
    mask = np.hypot(x - centre[0] * (width - 1), y - centre[1] * (height - 1)) < radius * height
    rgb = np.where(mask[..., None], colour, SKIN) + rng.normal(0, 3, (height, width, 3))
    return np.clip(rgb, 0, 255).astype(np.uint8), mask


def write(path: Path, rgb):
    path.parent.mkdir(parents=True, exist_ok=True)
    assert cv2.imwrite(str(path), rgb[..., ::-1] if rgb.ndim == 3 else rgb)


def zipped(folder: Path, name: str):
    """The folder `name` as `name.zip`, with what a Mac adds, and the folder gone."""
    with zipfile.ZipFile(folder / f"{name}.zip", "w") as archive:
        for path in sorted((folder / name).rglob("*")):
            archive.write(path, f"{name}/{path.relative_to(folder / name)}")
            archive.writestr(f"__MACOSX/{name}/._{path.name}", b"litter")
            path.unlink()
    (folder / name).rmdir()


def pad_as_published(root: Path, n=6, size=(150, 200)) -> Path:
    rows = [PAD_COLUMNS]
    for i in range(n):
        name = f"PAT_{i}_7_{100 + i}.png"  # the number of the lesion is used again for other patients
        diagnosis = ("NEV", "BCC", "MEL", "SEK", "ACK", "SCC")[i % 6]
        write(root / "images" / f"imgs_part_{1 + i % 3}" / name, close_up(size=size, seed=i)[0])
        rows.append(f"PAT_{i},7,,50,2.0,ARM,{diagnosis},True,{name},True")
    (root / "metadata.csv").write_text("\n".join(rows) + "\n")
    return root


def ham_as_published(root: Path, n=6, size=(90, 120), table="HAM10000_metadata") -> Path:
    rows = [HAM_COLUMNS]
    for i in range(n):
        diagnosis, image = ("vasc", "nv", "mel")[i % 3], f"ISIC_{i:07d}"
        rgb, mask = close_up(CHERRY if diagnosis == "vasc" else MOLE, size, i, radius=0.3)
        write(root / f"HAM10000_images_part_{1 + i % 2}" / f"{image}.jpg", rgb)
        folder = root / "HAM10000_segmentations_lesion_tschandl"
        write(folder / f"{image}_segmentation.png", mask.astype(np.uint8) * 255)
        rows.append(f"HAM_{i // 2:07d},{image},{diagnosis},histo,50.0,male,back")
    (root / table).write_text("\n".join(rows) + "\n")
    return root


def test_pad_as_published_is_read_from_folders_and_from_zip_files_alike(tmp_path):
    folders = pad_ufes_20(pad_as_published(tmp_path / "a"))
    packed = pad_as_published(tmp_path / "b")
    for part in (1, 2, 3):
        zipped(packed / "images", f"imgs_part_{part}")
    unpacked, from_zip = list(folders.patches()), list(pad_ufes_20(packed).patches())
    assert [p.group for p in unpacked] == [f"pad:PAT_{i}" for i in range(6)]
    assert {OUTPUTS[p.label] for p in unpacked} == {"lesion"}
    assert all(np.array_equal(a.rgb, b.rgb) for a, b in zip(unpacked, from_zip, strict=True))
    assert folders.sha256 == pad_ufes_20(packed).sha256
    assert "published are 2298" in folders.notes[0]


def test_photos_without_a_mask_get_one_that_fits(tmp_path):
    tally = Counter()
    patches = list(pad_ufes_20(pad_as_published(tmp_path)).patches(tally))
    assert tally == {"read": 6, "mask drawn": 6}
    _, truth = close_up()
    for patch in patches:
        x, y, diameter = patch.mark
        assert (patch.mask & truth).sum() > 0.85 * (patch.mask | truth).sum()
        assert (x, y) == pytest.approx((99.5, 74.5), abs=1.5)
        assert diameter == pytest.approx(60, rel=0.08)


def test_masks_that_would_be_guessed_are_refused():
    rng = np.random.default_rng(1)
    plain = np.clip(np.array(SKIN) + rng.normal(0, 4, (120, 160, 3)), 0, 255).astype(np.uint8)
    shaded = (plain * np.linspace(0.5, 1, 160)[None, :, None]).astype(np.uint8)
    ring = plain.copy()
    cv2.circle(ring, (80, 60), 40, (90, 60, 160), 3)  # ink around nothing
    for nothing in (plain, shaded):
        assert simple_mask(nothing) is None
    found = simple_mask(ring)
    assert found is None or not found[60, 80] or found.mean() > 0.2  # at most what the ring encloses
    assert simple_mask(close_up(centre=(0.02, 0.5))[0]) is None  # cut off by the frame


def test_pad_crops_with_masks_are_read(tmp_path):
    rgb, mask = close_up()
    write(tmp_path / "images" / "PAT_1_2_3.jpg", rgb)
    write(tmp_path / "masks" / "PAT_1_2_3.png", mask.astype(np.uint8) * 255)
    (tmp_path / "metadata.csv").write_text(
        "file,img_id,patient_id,lesion_id,diagnostic\nPAT_1_2_3.jpg,PAT_1_2_3.png,PAT_1,2,NEV\n"
    )
    tally = Counter()
    (patch,) = pad_ufes_20(tmp_path).patches(tally)
    assert tally == {"read": 1, "mask published": 1}
    assert np.array_equal(patch.mask, mask)
    assert patch.route == "clinical"


@pytest.mark.parametrize("table", ["HAM10000_metadata", "HAM10000_metadata.csv", "metadata.csv"])
def test_ham_as_published_is_read(tmp_path, table):
    tally = Counter()
    source = ham10000(ham_as_published(tmp_path, table=table))
    patches = list(source.patches(tally))
    assert tally == {"read": 6, "mask published": 6}
    assert source.counts == {"mel": 2, "nv": 2, "vasc": 2}
    assert [OUTPUTS[p.label] for p in patches] == ["angioma", "lesion", "lesion"] * 2
    assert [p.group for p in patches] == [f"ham:HAM_{i // 2:07d}" for i in range(6)]
    assert {p.route for p in patches} == {"dermoscopic"}
    assert patches[0].rgb.shape == (90, 120, 3)  # small ones stay as they are
    assert patches[0].mark[2] == pytest.approx(54, rel=0.03)


def test_a_table_with_tabs_and_zip_files_is_read(tmp_path):
    root = ham_as_published(tmp_path, table="HAM10000_metadata.tab")
    table = root / "HAM10000_metadata.tab"
    table.write_text(table.read_text().replace(",", "\t"))
    for name in ("HAM10000_images_part_1", "HAM10000_images_part_2", "HAM10000_segmentations_lesion_tschandl"):
        zipped(root, name)
    tally = Counter()
    assert len(list(ham10000(root).patches(tally))) == 6
    assert tally["mask published"] == 6


def test_originals_are_brought_down_with_their_masks(tmp_path):
    large = ham10000(ham_as_published(tmp_path, size=(450, 600)))
    patch = next(large.patches())
    assert patch.rgb.shape == (225, 300, 3)
    assert patch.mask.shape == (225, 300)
    x, y, diameter = patch.mark
    assert (x, y) == pytest.approx((149.5, 112), abs=0.5)
    assert diameter == pytest.approx(0.6 * 225, rel=0.02)


def test_of_two_files_of_an_image_the_larger_is_taken(tmp_path):
    root = ham_as_published(tmp_path)
    write(root / "vasc_600x450" / "ISIC_0000000.jpg", close_up(CHERRY, (450, 600), radius=0.3)[0])
    assert next(ham10000(root).patches()).rgb.shape == (225, 300, 3)


def test_broken_photos_are_skipped_and_counted(tmp_path):
    root = ham_as_published(tmp_path)
    first = root / "HAM10000_images_part_1" / "ISIC_0000000.jpg"
    first.write_bytes(first.read_bytes()[:500])
    (root / "HAM10000_images_part_2" / "ISIC_0000001.jpg").write_bytes(b"")
    (root / "HAM10000_segmentations_lesion_tschandl" / "ISIC_0000002_segmentation.png").write_bytes(b"\x89PNG")
    tally = Counter()
    assert len(list(ham10000(root).patches(tally))) == 4
    assert tally == {"broken": 2, "read": 4, "mask published": 3, "mask drawn": 1}


def test_rows_without_a_photo_are_told(tmp_path):
    root = ham_as_published(tmp_path)
    (root / "HAM10000_images_part_1" / "ISIC_0000000.jpg").unlink()
    assert any("1 rows of the table have no photo" in note for note in ham10000(root).notes)


def test_a_changed_table_or_photo_changes_the_hash(tmp_path):
    root = ham_as_published(tmp_path)
    before = ham10000(root).sha256
    assert ham10000(root).sha256 == before
    table = root / "HAM10000_metadata"
    table.write_text(table.read_text().replace("mel", "bcc", 1))
    changed = ham10000(root).sha256
    assert changed != before
    write(root / "HAM10000_images_part_1" / "ISIC_0000000.jpg", close_up(size=(91, 120))[0])
    assert ham10000(root).sha256 not in (before, changed)


@pytest.mark.parametrize("reader", [pad_ufes_20, ham10000, folder_per_class])
def test_what_is_missing_is_said(tmp_path, reader):
    with pytest.raises(InputError, match=r"missing.*absent"):
        reader(tmp_path / "absent")
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="empty"):
        reader(tmp_path / "empty")
    (tmp_path / "bad").mkdir()
    (tmp_path / "bad" / "images.zip").write_bytes(b"PK no zip")
    with pytest.raises(InputError, match=r"zip file is damaged.*download"):
        reader(tmp_path / "bad")


def test_wrong_tables_are_said(tmp_path):
    root = pad_as_published(tmp_path)
    table = root / "metadata.csv"
    good = table.read_text()
    table.write_text(good.replace("patient_id", "patient").replace("img_id", "image"))
    with pytest.raises(InputError, match=r"no column patient_id, img_id"):
        pad_ufes_20(root)
    table.write_text(good.replace("BCC", "flu"))
    with pytest.raises(InputError, match=r"diagnosis 'flu'.*known are BCC"):
        pad_ufes_20(root)
    table.write_bytes("é".encode("latin-1") + good.encode())
    with pytest.raises(InputError, match="UTF-8"):
        pad_ufes_20(root)
    table.unlink()
    with pytest.raises(InputError, match=r"no metadata\.csv"):
        pad_ufes_20(root)
    table.write_text(good.replace("PAT_", "PAX_"))
    with pytest.raises(InputError, match="no photo of PAD-UFES-20"):
        pad_ufes_20(root)


def test_own_photos_by_class(tmp_path):
    write(tmp_path / "angioma" / "a.png", close_up(CHERRY)[0])
    write(tmp_path / "spot" / "ann" / "b.png", close_up(CHERRY, radius=0.1)[0])
    write(tmp_path / "lesion" / "Ann" / "c.png", close_up()[0])
    write(tmp_path / "none" / "cloth.png", close_up(SKIN)[0])
    write(tmp_path / "elsewhere" / "x.png", close_up()[0])
    patches = {p.diagnosis: p for p in folder_per_class(tmp_path).patches()}
    assert {name: OUTPUTS[p.label] for name, p in patches.items()} == {n: n for n in OUTPUTS}
    assert patches["spot"].group == patches["lesion"].group == "folder:ann"
    assert patches["angioma"].group == "folder:angioma/a.png"
    assert patches["none"].mask is None
    x, y, diameter = patches["none"].mark  # the middle third
    assert (x, y, diameter) == pytest.approx((99.5, 74.5, 50))
    assert patches["angioma"].mark[2] == pytest.approx(60, rel=0.08)


def test_own_photos_with_boxes(tmp_path):
    write(tmp_path / "spot" / "legs.png", close_up(size=(120, 160))[0])
    table = tmp_path / "boxes.csv"
    table.write_text("file,x,y,w,h,group\nspot/legs.png,10,20,9,4,p1\nspot/legs.png,50,60,8,8,\n")
    first, second = folder_per_class(tmp_path).patches()
    assert first.mark == pytest.approx((14.5, 22, 6))
    assert second.mark == pytest.approx((54, 64, 8))
    assert (first.group, second.group) == ("folder:p1", "folder:spot/legs.png")
    small, _ = folder_per_class(tmp_path, long_side_px=80).patches()
    assert small.mark == pytest.approx((7, 10.75, 3))
    for line, why in (
        ("spot/legs.png,1,2,0,3", "a box is"),
        ("spot/legs.png,1,2,x,3", "a box is"),
        ("a.png,1,2,3,4", "no photo 'a.png'"),
    ):
        table.write_text(f"file,x,y,w,h\n{line}\n")
        with pytest.raises(InputError, match=f"{why}.*line 2"):
            folder_per_class(tmp_path)


@given(st.text(max_size=30), st.integers(0, 5))
def test_a_group_stays_in_its_split(group, seed):
    # There is nothing that other groups could change: the split is a function of the group and the seed.
    assert split(group, seed) == split(group, seed) in SPLITS


@given(st.sets(st.integers(0, 10_000), max_size=60), st.sets(st.integers(0, 10_000), max_size=60))
def test_added_patients_move_nobody(before, added):
    def table(patients):
        return {p: split(f"pad:PAT_{p}") for p in sorted(patients)}

    assert table(before).items() <= table(before | added).items()


def test_splits_have_their_shares_and_seeds_differ():
    groups = [f"ham:HAM_{i:07d}" for i in range(8000)]
    shares = Counter(split(g) for g in groups)
    assert [shares[name] / 8000 for name in SPLITS] == pytest.approx([0.70, 0.15, 0.15], abs=0.02)
    assert sum(split(g, 0) != split(g, 1) for g in groups) > 2000


def test_tone_is_that_of_the_skin_beside_the_mark():
    rgb, mask = close_up((20, 10, 10), radius=0.4)
    bare = skin_ita_deg(np.full((90, 120, 3), SKIN, np.uint8), None)
    assert skin_ita_deg(rgb, mask) == pytest.approx(bare, abs=2)
    assert skin_ita_deg(rgb, np.ones_like(mask)) is None
    darker = skin_ita_deg((rgb * 0.5).astype(np.uint8), mask)
    assert darker < bare - 20


def patch_of(rgb, mask, label=2):
    return Patch(rgb, mask, label, "pad:PAT_1", "pad_ufes_20", 40.0, "NEV")


def test_real_marks_come_to_phone_scale_in_their_place():
    # A mark off the middle: after any shrinking it is still dark where it is said to be.
    rgb, mask = close_up(size=(300, 400), centre=(0.35, 0.6), radius=0.15)
    for seed in range(20):
        scene = as_photographed(patch_of(rgb, mask), np.random.default_rng(seed), Framing())
        (mark,) = scene.marks
        assert 8 * 0.95 <= mark.diameter_px <= 70 * 1.05
        assert scene.rgb.shape[0] / scene.rgb.shape[1] == pytest.approx(0.75, rel=0.05)
        dark = (scene.rgb.mean(axis=2) < 115).astype(float)
        y, x = np.indices(dark.shape)
        centre = ((dark * x).sum() / dark.sum(), (dark * y).sum() / dark.sum())
        assert centre == pytest.approx(mark.centre_px, abs=0.4)
        assert 2 * np.sqrt(dark.sum() / np.pi) == pytest.approx(mark.diameter_px, rel=0.15)


def test_real_marks_are_never_enlarged_nor_without_skin():
    rgb, mask = close_up(size=(60, 80), radius=0.05)
    scene = as_photographed(patch_of(rgb, mask), np.random.default_rng(0), Framing())
    assert scene.rgb.shape == rgb.shape
    whole = np.zeros((60, 80), bool)
    whole[5:, 5:] = True
    assert as_photographed(patch_of(rgb, whole), np.random.default_rng(0), Framing()) is None
    assert as_photographed(patch_of(rgb, None), np.random.default_rng(0), Framing()) is None


def test_a_frame_moves_marks_with_the_pixels():
    rng = np.random.default_rng(3)
    rgb = np.full((200, 260, 3), 180, np.uint8)
    marks = []
    for x, y in ((60, 50), (75, 60), (180, 140)):
        rgb[y, x] = 0
        marks.append(Mark((float(x), float(y)), 9.0, 0, "drawn"))
    scene, closer = DrawnScene(rgb, tuple(marks), 30.0), 0
    for _ in range(50):
        new = framed(scene, rng, Framing(close_up=(1.0,) * 4))
        closer += new.rgb.shape != rgb.shape
        assert 1 <= len(new.marks) <= 3
        for mark in new.marks:
            x, y = mark.centre_px
            assert new.rgb[int(y), int(x)].max() == 0
    assert closer == 50
    assert framed(scene, rng, Framing(close_up=(0.0,) * 4)) is scene


def test_boxes_are_off_by_as_much_as_said():
    rgb, _ = close_up(size=(120, 160))
    scene = DrawnScene(rgb, (Mark((80.0, 60.0), 20.0, 2, "drawn"),) * 400, 30.0)
    crops, empty = cut(scene, 7, "scene:train:7", np.random.default_rng(0), Framing())
    assert (len(crops), empty) == (400, 0)
    assert crops.crops.shape == (400, 6, 40, 40)
    assert crops.centre_px.std(axis=0) == pytest.approx([1.0, 1.0], rel=0.15)
    assert np.log(crops.diameter_px).std() == pytest.approx(0.10, rel=0.15)
    assert set(crops.group) == {"scene:train:7"}
    assert set(crops.scene) == {7}


def config_of(tmp_path, **changes) -> PrepareConfig:
    pad = tmp_path / "pad"
    if not pad.exists():
        pad_as_published(pad, 40, (130, 170))
        ham_as_published(tmp_path / "ham", 80)
    given = {"out": str(tmp_path / "out"), "pad_ufes_20": str(pad), "ham10000": str(tmp_path / "ham"),
             "train_scenes": 6, "validation_scenes": 3, "test_scenes": 3, "real_crops": 20, "processes": 1}  # fmt: skip
    return PrepareConfig(**(given | changes))


def test_prepared_crops_are_whole_seeded_and_split_by_group(tmp_path, capsys):
    made = prepare(config_of(tmp_path))
    groups, routes = {}, set()
    for name in SPLITS:
        crops = read_crops(made.folder, name)
        assert np.isfinite(crops.crops).all()
        assert crops.crops.any(axis=(1, 2, 3)).all()
        assert len(crops) == made.told["splits"][name]["crops"]
        groups[name] = set(crops.group)
        routes |= set(crops.route)
        for number in set(crops.scene):  # marks of one photo have one skin
            ita = crops.ita_deg[crops.scene == number]
            assert np.isnan(ita).all() or np.ptp(ita) == 0
        real = {g for g in groups[name] if g.startswith(("pad:", "ham:"))}
        assert {split(g) for g in real} == {name}
    assert not groups["train"] & groups["test"]
    assert not groups["train"] & groups["validation"]
    assert {"clinical", "dermoscopic", "drawn"} <= routes
    assert not list(made.folder.glob("parts-*"))
    written = (made.folder / "prepared.json").read_text()
    assert json.loads(written) == made.told
    assert str(tmp_path) not in written
    for word in ("lesion, clinical", "published are 2298"):
        assert word in made.table()
    assert "photos" in capsys.readouterr().err

    again = prepare(config_of(tmp_path, out=str(tmp_path / "again")))
    for name in SPLITS:
        assert (again.folder / f"{name}.npz").read_bytes() == (made.folder / f"{name}.npz").read_bytes()
    prepare(config_of(tmp_path))
    assert "already" in capsys.readouterr().err


def test_an_interrupted_run_goes_on_where_it_was(tmp_path, monkeypatch):
    from spotscan.learn import shards

    whole = prepare(config_of(tmp_path, out=str(tmp_path / "whole")))
    made, real = [], shards.make

    def stops(task, parts):
        if len(made) == 2:
            raise KeyboardInterrupt
        made.append(task)
        return real(task, parts)

    monkeypatch.setattr(shards, "make", stops)
    with pytest.raises(KeyboardInterrupt):
        prepare(config_of(tmp_path))
    out = tmp_path / "out"
    assert len(list(out.glob("parts-*/train_*.npz"))) == 2
    assert not (out / "prepared.json").exists()
    first = set(made)
    monkeypatch.setattr(shards, "make", lambda task, parts: made.append(task) or real(task, parts))
    prepare(config_of(tmp_path))
    assert len(made) == len(set(made)) > len(first)  # nothing was made twice
    assert (out / "train.npz").read_bytes() == (whole.folder / "train.npz").read_bytes()


@pytest.mark.slow
def test_several_processes_make_the_same(tmp_path):
    one = prepare(config_of(tmp_path, out=str(tmp_path / "one")))
    two = prepare(config_of(tmp_path, out=str(tmp_path / "two"), processes=2))
    for name in SPLITS:
        assert (one.folder / f"{name}.npz").read_bytes() == (two.folder / f"{name}.npz").read_bytes()


def test_what_cannot_be_prepared_is_said(tmp_path):
    with pytest.raises(UsageError, match="nothing to prepare"):
        prepare(PrepareConfig(out=str(tmp_path / "out")))
    with pytest.raises(UsageError, match="real_crops is negative"):
        prepare(config_of(tmp_path, real_crops=-1))
    with pytest.raises(InputError, match=r"scenes of \w+ cannot be drawn.*no angiomas"):
        prepare(config_of(tmp_path, ham10000=""))
    assert prepare(config_of(tmp_path, ham10000="", train_scenes=0, validation_scenes=0, test_scenes=0)).told["splits"]
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError, match="cannot write"):
        prepare(config_of(tmp_path, out=str(tmp_path / "file" / "out")))
