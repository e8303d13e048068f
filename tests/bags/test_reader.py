"""Recordings of every storage, with messages late, missing and out of order."""

import shutil

import numpy as np
import pytest

from rsb_pose_ros.bags import BagError, StereoBag
from tests.bags.recordings import (
    PERIOD_NS,
    START_NS,
    image,
    joints_cloud,
    stereo_messages,
    write_messages,
)
from tests.stereo.rigs import verged

RIG = verged(size=(64, 48), focal=52.0)
RNG = np.random.default_rng(0)
PICTURES = [tuple(RNG.integers(0, 255, (2, 48, 64, 3)).astype(np.uint8)) for _ in range(5)]
TRUTH = [(RNG.normal(size=(17, 3)) + np.array([0, 0, 3])).astype(np.float32) for _ in range(5)]


def all_pairs(path, **options):
    with StereoBag(path, **options) as bag:
        return list(bag.pairs())


@pytest.mark.parametrize("storage", ["mcap", "sqlite3"])
@pytest.mark.parametrize("opened", ["folder", "file", "folder without metadata"])
def test_all_storages_give_what_was_written(tmp_path, storage, opened):
    path = write_messages(tmp_path / "bag", stereo_messages(RIG, PICTURES, TRUTH), storage)
    if opened == "file":
        path = next(f for f in path.iterdir() if f.suffix in (".mcap", ".db3"))
    elif opened == "folder without metadata":
        (path / "metadata.yaml").unlink()
    with StereoBag(path) as bag:
        assert bag.pair_count == bag.left_count == bag.right_count == bag.truth_count == 5
        np.testing.assert_allclose(bag.rig().projections, RIG.projections)
        pairs = list(bag.pairs())
    for i, pair in enumerate(pairs):
        np.testing.assert_array_equal(pair.left, PICTURES[i][0])
        np.testing.assert_array_equal(pair.right, PICTURES[i][1])
        np.testing.assert_array_equal(pair.truth, TRUTH[i])
        assert pair.stamp_ns == START_NS + i * PERIOD_NS
        assert pair.stamp == pytest.approx(pair.stamp_ns * 1e-9)
        assert pair.frame_id == "left_optical"


def test_raw_images_are_read_too(tmp_path):
    messages = stereo_messages(RIG, PICTURES[:2], encode=image, suffix="/image_raw")
    pairs = all_pairs(write_messages(tmp_path / "bag", messages))
    np.testing.assert_array_equal(pairs[1].right, PICTURES[1][1])
    assert pairs[0].truth is None


def test_a_lost_picture_loses_one_pair_and_shifts_none(tmp_path):
    messages = stereo_messages(RIG, PICTURES, TRUTH, skew_ns=3_000_000)
    lost = [
        m for m in messages if not (m[0].startswith("/stereo/right/image") and m[1] == START_NS + 2 * PERIOD_NS + 1000)
    ]
    with StereoBag(write_messages(tmp_path / "bag", lost)) as bag:
        assert (bag.left_count, bag.right_count, bag.pair_count) == (5, 4, 4)
        pairs = list(bag.pairs())
    assert [round((p.stamp_ns - START_NS) / PERIOD_NS) for p in pairs] == [0, 1, 3, 4]
    assert all(p.skew_s == pytest.approx(0.003) for p in pairs)
    np.testing.assert_array_equal(pairs[2].right, PICTURES[3][1])


def test_the_order_of_arrival_does_not_matter(tmp_path):
    messages = stereo_messages(RIG, PICTURES, TRUTH)
    late = [(topic, at + (PERIOD_NS * 3 if "/left/image" in topic else 0), m) for topic, at, m in messages]
    late.sort(key=lambda m: m[1])
    usual = all_pairs(write_messages(tmp_path / "usual", messages))
    shuffled = all_pairs(write_messages(tmp_path / "late", late))
    assert [p.stamp_ns for p in usual] == [p.stamp_ns for p in shuffled]
    for a, b in zip(usual, shuffled):
        np.testing.assert_array_equal(a.left, b.left)
        np.testing.assert_array_equal(a.right, b.right)


def test_pictures_too_far_apart_in_time_are_no_pair(tmp_path):
    path = write_messages(tmp_path / "bag", stereo_messages(RIG, PICTURES, skew_ns=12_000_000))
    assert all_pairs(path) == []
    assert len(all_pairs(path, tolerance_s=0.013)) == 5


def test_a_limit_is_spread_over_the_recording(tmp_path):
    path = write_messages(tmp_path / "bag", stereo_messages(RIG, PICTURES))
    with StereoBag(path) as bag:
        assert [round((p.stamp_ns - START_NS) / PERIOD_NS) for p in bag.pairs(limit=3)] == [0, 2, 4]
        assert len(list(bag.pairs(limit=50))) == 5


def test_missing_topics_are_answered_with_what_there_is(tmp_path):
    messages = [m for m in stereo_messages(RIG, PICTURES[:1]) if "right/image" not in m[0]]
    path = write_messages(tmp_path / "bag", messages)
    with pytest.raises(BagError, match=r"no pair of left and right images.*/stereo/right/camera_info \(sensor_msgs"):
        StereoBag(path)
    with pytest.raises(BagError, match=r"has no topic /other; it has .*/stereo/left/image_raw/compressed"):
        StereoBag(path, left_image="/other")


def test_missing_camera_info_is_said(tmp_path):
    messages = [m for m in stereo_messages(RIG, PICTURES[:1]) if m[0] != "/stereo/right/camera_info"]
    with StereoBag(write_messages(tmp_path / "bag", messages)) as bag:
        assert bag.pair_count == 1, "a calibration file may be at hand"
        with pytest.raises(BagError, match=r"CameraInfo lies beside .*It has /stereo/left/camera_info"):
            bag.rig()


def test_a_picture_that_cannot_be_decoded_is_named(tmp_path):
    messages = stereo_messages(RIG, PICTURES[:2])
    broken = next(m for topic, _, m in messages if topic == "/stereo/right/image_raw/compressed")
    broken.data = broken.data[:30]
    path = write_messages(tmp_path / "bag", messages)
    with pytest.raises(BagError, match=r"/stereo/right/image_raw/compressed at 1700000000.000 s: .*cannot be decoded"):
        all_pairs(path)


def test_ground_truth_of_another_skeleton_is_refused(tmp_path):
    messages = [*stereo_messages(RIG, PICTURES[:1]), ("/stereo/ground_truth", START_NS, joints_cloud(TRUTH[0][:15], 0))]
    with pytest.raises(BagError, match="has 15 points; expected 17"):
        StereoBag(write_messages(tmp_path / "bag", messages))


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (lambda p: p / "nowhere", "does not exist"),
        (lambda p: p, "holds no metadata.yaml, .mcap or .db3"),
        (lambda p: (p / "a.txt").write_text("x") and p / "a.txt", "is a .txt"),
        (lambda p: (p / "a.mcap").write_bytes(b"nonsense") and p / "a.mcap", "cannot be opened"),
        (lambda p: (p / "a.db3").write_bytes(b"nonsense") and p / "a.db3", "cannot be opened"),
        (lambda p: (p / "metadata.yaml").write_text("a: 1") and p, "cannot be opened"),
    ],
)
def test_what_is_no_recording_is_refused(tmp_path, make, sentence):
    with pytest.raises(BagError, match=sentence):
        StereoBag(make(tmp_path))


def test_a_truncated_recording_is_refused(tmp_path):
    path = write_messages(tmp_path / "bag", stereo_messages(RIG, PICTURES))
    shutil.rmtree(tmp_path / "cut", ignore_errors=True)
    file = next(path.glob("*.mcap"))
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])
    with pytest.raises(BagError, match=r"cannot be opened|is damaged"):
        all_pairs(path)
