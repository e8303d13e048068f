"""Which topics of a recording are the stereo pair: found by their types and names, or given."""

from __future__ import annotations

import re
from dataclasses import dataclass, fields

IMAGE = "sensor_msgs/msg/Image"
COMPRESSED = "sensor_msgs/msg/CompressedImage"
CAMERA_INFO = "sensor_msgs/msg/CameraInfo"
POINT_CLOUD = "sensor_msgs/msg/PointCloud2"

_SIDES = (
    (r"left", r"right"),
    (r"infra1", r"infra2"),
    (r"cam(?:era)?_?0", r"cam(?:era)?_?1"),
    (r"cam(?:era)?_?1", r"cam(?:era)?_?2"),
)
"""Words which drivers use for left and right, in the order in which they are tried."""


class BagError(RuntimeError):
    """A recording from which no stereo pairs can be read."""


@dataclass(frozen=True)
class StereoTopics:
    """Topic names; the infos and ground_truth are "" where there are none."""

    left_image: str
    right_image: str
    left_info: str
    right_info: str
    ground_truth: str = ""

    @property
    def rectified(self) -> bool:
        """Whether the images' names say that they were rectified before (image_rect, as in image_pipeline)."""
        return "image_rect" in self.left_image


def find_topics(available: dict[str, str], given: dict[str, str], source: str) -> StereoTopics:
    """The topics of the stereo pair. available: topic → type; given: field of StereoTopics → topic, "" to detect.

    Raw images are preferred to rectified ones, uncompressed to compressed ones. Raises BagError, listing what there is.
    """
    unknown = [key for key in given if key not in {f.name for f in fields(StereoTopics)}]
    if unknown:
        raise ValueError(
            f"no topic is called {', '.join(unknown)}; expected {', '.join(f.name for f in fields(StereoTopics))}"
        )
    given = {key: topic for key, topic in given.items() if topic}
    missing = [topic for topic in given.values() if topic not in available]
    if missing:
        raise BagError(f"{source}: has no topic {', '.join(missing)}; it has {listing(available)}")
    left, right = given.get("left_image"), given.get("right_image")
    if not (left and right):
        images = [topic for topic, kind in available.items() if kind in (IMAGE, COMPRESSED)]
        detected = _image_pair(images, left, right)
        if detected is None:
            raise BagError(
                f"{source}: no pair of left and right images was recognised; expected two topics of type {IMAGE} or "
                f"{COMPRESSED} that differ in left/right: name them. It has {listing(available)}"
            )
        left, right = detected
    left_info = given.get("left_info") or _info_beside(left, available)
    right_info = given.get("right_info") or _info_beside(right, available)
    truth = given.get("ground_truth") or next(
        (t for t, kind in sorted(available.items()) if kind == POINT_CLOUD and t.endswith("ground_truth")), ""
    )
    return StereoTopics(left, right, left_info, right_info, truth)


def listing(available: dict[str, str]) -> str:
    """Topics and types in one sentence's end."""
    return "; ".join(f"{topic} ({kind})" for topic, kind in sorted(available.items())) or "no topics at all"


def _image_pair(images: list[str], left: str | None, right: str | None) -> tuple[str, str] | None:
    """The best pair of topics that are equal but for the word of a side."""
    pairs = []
    for rank, (word_left, word_right) in enumerate(_SIDES):
        for a in images:
            for b in images:
                same = _without(word_left, a) == _without(word_right, b) != a
                if a != b and same and left in (None, a) and right in (None, b):
                    preference = (rank, "depth" in a, "rect" in a, a.endswith("/compressed"), a)
                    pairs.append((preference, (a, b)))
    return min(pairs)[1] if pairs else None


def _without(word: str, topic: str) -> str:
    return re.sub(rf"(?<![a-z0-9]){word}(?![a-z0-9])", "*", topic)


def _info_beside(image: str, available: dict[str, str]) -> str:
    """camera_info in the namespace of an image topic, as in image_transport: <namespace>/camera_info."""
    namespace = image.removesuffix("/compressed").rsplit("/", 1)[0]
    topic = f"{namespace}/camera_info"
    return topic if available.get(topic) == CAMERA_INFO else ""
