"""Every supported encoding gives the picture that was put in; everything else is refused with a sentence."""

from array import array
from types import SimpleNamespace

import cv2
import numpy as np
import pytest

from rsb_pose_ros.images import SUPPORTED_ENCODINGS, ImageError, to_array

RNG = np.random.default_rng(3)
SMALL = RNG.integers(0, 256, (6, 8, 3)).astype(np.uint8)


def message(encoding: str, picture: np.ndarray, padding: int = 0, bigendian: bool = False) -> SimpleNamespace:
    rows = np.ascontiguousarray(picture).reshape(picture.shape[0], -1)
    if rows.dtype == np.uint16:
        rows = rows.astype(">u2" if bigendian else "<u2").view(np.uint8).reshape(len(rows), -1)
    padded = np.pad(rows, ((0, 0), (0, padding)), constant_values=77)
    return SimpleNamespace(
        encoding=encoding,
        width=picture.shape[1],
        height=picture.shape[0],
        step=padded.shape[1],
        is_bigendian=int(bigendian),
        data=padded.tobytes(),
    )


@pytest.mark.parametrize("padding", [0, 5])
@pytest.mark.parametrize("encoding", ["bgr8", "8UC3", "mono8", "8UC1"])
def test_right_formats_are_viewed_without_a_copy(encoding, padding):
    picture = SMALL if encoding in ("bgr8", "8UC3") else SMALL[..., 0]
    msg = message(encoding, picture, padding)
    msg.data = bytearray(msg.data)
    found = to_array(msg)
    np.testing.assert_array_equal(found, picture)
    msg.data[0] ^= 255
    assert found.reshape(-1)[0] == picture.reshape(-1)[0] ^ 255, "the message's own bytes are looked at"


@pytest.mark.parametrize("kind", [bytes, bytearray, lambda b: array("B", b), lambda b: np.frombuffer(b, np.uint8)])
def test_data_may_be_of_any_kind_that_messages_use(kind):
    msg = message("bgr8", SMALL)
    msg.data = kind(msg.data)
    np.testing.assert_array_equal(to_array(msg), SMALL)


@pytest.mark.parametrize(
    ("encoding", "conversion"),
    [("rgb8", cv2.COLOR_BGR2RGB), ("rgba8", cv2.COLOR_BGR2RGBA), ("bgra8", cv2.COLOR_BGR2BGRA)],
)
def test_other_channel_orders_become_bgr(encoding, conversion):
    np.testing.assert_array_equal(to_array(message(encoding, cv2.cvtColor(SMALL, conversion), 3)), SMALL)


@pytest.mark.parametrize("bigendian", [False, True])
@pytest.mark.parametrize("encoding", ["mono16", "16UC1"])
def test_sixteen_bits_keep_their_upper_eight(encoding, bigendian):
    deep = SMALL[..., 0].astype(np.uint16) * 256 + 200
    found = to_array(message(encoding, deep, 2, bigendian))
    assert found.dtype == np.uint8
    np.testing.assert_array_equal(found, SMALL[..., 0])


def test_sixteen_bit_colour_becomes_bgr():
    deep = cv2.cvtColor(SMALL, cv2.COLOR_BGR2RGB).astype(np.uint16) * 256
    np.testing.assert_array_equal(to_array(message("rgb16", deep)), SMALL)


@pytest.mark.parametrize("pattern", ["rggb", "bggr", "gbrg", "grbg"])
@pytest.mark.parametrize("depth", [8, 16])
def test_bayer_patterns_are_named_after_their_first_pixels(pattern, depth):
    colour = {"b": 30, "g": 120, "r": 220}
    mosaic = np.zeros((8, 8), np.uint8)
    for place, letter in enumerate(pattern):
        mosaic[place // 2 :: 2, place % 2 :: 2] = colour[letter]
    if depth == 16:
        mosaic = mosaic.astype(np.uint16) * 256
    found = to_array(message(f"bayer_{pattern}{depth}", mosaic))
    np.testing.assert_array_equal(found[3, 3], [30, 120, 220])


@pytest.mark.parametrize("encoding", ["uyvy", "yuv422", "yuyv", "yuv422_yuy2"])
def test_packed_yuv_becomes_bgr(encoding):
    flat = np.full((4, 8, 3), (40, 90, 200), np.uint8)
    y, u, v = cv2.cvtColor(flat, cv2.COLOR_BGR2YUV_I420)[[0, 4, 5], 0].tolist()
    order = [u, y, v, y] if encoding in ("uyvy", "yuv422") else [y, u, y, v]
    packed = np.tile(np.array(order, np.uint8), (4, 4)).reshape(4, 8, 2)
    assert np.abs(to_array(message(encoding, packed)).astype(int) - flat).max() <= 3


@pytest.mark.parametrize("encoding", ["nv12", "nv21"])
@pytest.mark.parametrize("padding", [0, 8])
def test_semiplanar_yuv_becomes_bgr(encoding, padding):
    flat = np.full((4, 8, 3), (40, 90, 200), np.uint8)
    y, u, v = cv2.cvtColor(flat, cv2.COLOR_BGR2YUV_I420)[[0, 4, 5], 0].tolist()
    chroma = [u, v] if encoding == "nv12" else [v, u]
    planes = np.r_[np.full((4, 8), y, np.uint8), np.tile(np.array(chroma, np.uint8), (2, 4))]
    msg = message(encoding, planes, padding)
    msg.height = 4
    found = to_array(msg)
    assert found.shape == (4, 8, 3)
    assert np.abs(found.astype(int) - flat).max() <= 3


@pytest.mark.parametrize("encoding", ["32FC1", "nv24", "wonderful", ""])
def test_an_unknown_encoding_is_refused_by_name(encoding):
    with pytest.raises(ImageError, match=f"encoding '{encoding}' is not supported; expected one of .*bgr8"):
        to_array(message(encoding, SMALL))


def test_the_list_of_encodings_is_what_is_said():
    assert {"bgr8", "mono16", "bayer_rggb8", "nv12", "yuyv"} <= set(SUPPORTED_ENCODINGS)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"data": b"12"}, "cut short"),
        ({"step": 3}, "has step 3 for 8 pixels"),
        ({"width": 0, "step": 0}, "expected a positive width"),
    ],
)
def test_sizes_that_do_not_fit_are_refused(change, sentence):
    msg = message("bgr8", SMALL)
    for key, value in change.items():
        setattr(msg, key, value)
    with pytest.raises(ImageError, match=sentence):
        to_array(msg)


def test_odd_sizes_of_semiplanar_pictures_are_refused():
    msg = message("nv12", np.zeros((6, 7), np.uint8))
    with pytest.raises(ImageError, match="even width and height"):
        to_array(msg)


def compressed(picture: np.ndarray, kind: str, name: str) -> SimpleNamespace:
    return SimpleNamespace(format=name, data=cv2.imencode(kind, picture)[1].tobytes())


def test_png_is_decoded_exactly_and_grey_stays_grey():
    np.testing.assert_array_equal(to_array(compressed(SMALL, ".png", "bgr8; png compressed bgr8")), SMALL)
    grey = SMALL[..., 1]
    np.testing.assert_array_equal(to_array(compressed(grey, ".png", "mono8; png compressed ")), grey)
    deep = grey.astype(np.uint16) * 256 + 9
    np.testing.assert_array_equal(to_array(compressed(deep, ".png", "mono16; png compressed ")), grey)
    alpha = cv2.cvtColor(SMALL, cv2.COLOR_BGR2BGRA)
    np.testing.assert_array_equal(to_array(compressed(alpha, ".png", "png")), SMALL)


def test_jpeg_is_bgr_unless_it_says_that_rgb_was_encoded():
    flat = np.full((16, 16, 3), (40, 90, 200), np.uint8)
    for name in ("jpeg", "rgb8; jpeg compressed bgr8"):
        assert np.abs(to_array(compressed(flat, ".jpg", name)).astype(int) - flat).max() < 5
    swapped = to_array(compressed(flat, ".jpg", "rgb8; jpeg compressed rgb8"))
    assert np.abs(swapped.astype(int) - flat[..., ::-1]).max() < 5


@pytest.mark.parametrize("data", [b"", b"no picture at all", cv2.imencode(".jpg", SMALL)[1].tobytes()[:20]])
def test_data_that_cannot_be_decoded_is_refused(data):
    with pytest.raises(ImageError, match=r"format 'jpeg' and \d+ bytes cannot be decoded"):
        to_array(SimpleNamespace(format="jpeg", data=data))


def test_something_that_is_no_picture_is_refused():
    with pytest.raises(ImageError, match="SimpleNamespace is no picture"):
        to_array(SimpleNamespace(k=1))
