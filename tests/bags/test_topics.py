"""Recognising the stereo pair among a recording's topics."""

import pytest

from rsb_pose_ros.bags.topics import CAMERA_INFO, COMPRESSED, IMAGE, POINT_CLOUD, BagError, find_topics


def with_infos(*images: str, kind: str = IMAGE) -> dict[str, str]:
    topics = dict.fromkeys(images, kind)
    for topic in images:
        topics[topic.removesuffix("/compressed").rsplit("/", 1)[0] + "/camera_info"] = CAMERA_INFO
    return topics


@pytest.mark.parametrize(
    ("left", "right"),
    [
        ("/stereo/left/image_raw", "/stereo/right/image_raw"),
        ("/left/image", "/right/image"),
        ("/camera/infra1/image_rect_raw", "/camera/infra2/image_rect_raw"),
        ("/cam0/image_raw", "/cam1/image_raw"),
        ("/zed/left_camera/image", "/zed/right_camera/image"),
        ("/oak/left/image_raw/compressed", "/oak/right/image_raw/compressed"),
    ],
)
def test_names_of_usual_drivers(left, right):
    found = find_topics(with_infos(left, right), {}, "bag")
    assert (found.left_image, found.right_image) == (left, right)
    assert found.left_info == left.removesuffix("/compressed").rsplit("/", 1)[0] + "/camera_info"
    assert found.rectified == ("image_rect" in left)
    assert found.ground_truth == ""


def test_raw_before_rectified_and_plain_before_compressed():
    names = [
        f"/s/{side}/{n}" for side in ("left", "right") for n in ("image_rect", "image_raw/compressed", "image_raw")
    ]
    found = find_topics(with_infos(*names), {}, "bag")
    assert found.left_image == "/s/left/image_raw"
    assert found.right_image == "/s/right/image_raw"


def test_another_stereo_camera_is_not_mixed_in():
    names = [f"/{camera}/{side}/image_raw" for camera in ("back", "front") for side in ("left", "right")]
    found = find_topics(with_infos(*names), {"left_image": "/front/left/image_raw"}, "bag")
    assert found.right_image == "/front/right/image_raw"


def test_given_names_win_and_ground_truth_is_found():
    available = {**with_infos("/a/x", "/b/y"), "/eval/ground_truth": POINT_CLOUD}
    found = find_topics(available, {"left_image": "/a/x", "right_image": "/b/y"}, "bag")
    assert found.right_info == "/b/camera_info"
    assert found.ground_truth == "/eval/ground_truth"


def test_an_unknown_keyword_names_the_known_ones():
    with pytest.raises(ValueError, match="no topic is called middle_image; expected left_image"):
        find_topics({}, {"middle_image": "/x"}, "bag")


def test_an_empty_recording_says_so():
    with pytest.raises(BagError, match="It has no topics at all"):
        find_topics({}, {}, "bag")


def test_compressed_is_used_where_it_is_all_there_is():
    names = ("/left/image_raw/compressed", "/right/image_raw/compressed")
    assert find_topics(with_infos(*names, kind=COMPRESSED), {}, "bag").left_image == names[0]
