"""Whole pictures of rendered rooms, with people and without, as a rig takes them: what the estimator has to search."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path

import numpy as np

from rsb_pose_ros.data.sample import VISIBLE
from rsb_pose_ros.data.synthetic.camera_effects import expose, sample_exposure
from rsb_pose_ros.data.synthetic.config import SyntheticConfig
from rsb_pose_ros.data.synthetic.generator import SyntheticPairs, render_view
from rsb_pose_ros.data.synthetic.plan import Composition
from rsb_pose_ros.data.synthetic.visibility import joint_visibility
from rsb_pose_ros.stereo import Camera, StereoRig, project

FIRST_SEED = 2_300_000_000
"""Behind synthetic-test's; no training reaches them."""
FIRST_SEED_WITH_PEOPLE = 2_400_000_000
CHOOSING = 50_000_000
"""Behind the first seeds: pairs on which thresholds are chosen, and nothing is reported."""
LEARNING = 25_000_000
"""The same of pairs from which models' cards learn what tells people from coats (tools/calibrate_presence.py)."""
SEEN_JOINTS = 8
"""Joints that nothing hides, in each picture, of a person who ought to be found."""
PLACE_STD_ANYWHERE = (0.3, 0.15)
"""Of a person who may be anywhere in the picture, in pictures across and down; beyond its edges, they stand there."""
RATE_OF_NONE = 3.0
"""Nothing in N pairs: with 95 % certainty fewer than 3 in N."""


@dataclass(frozen=True)
class WholePair:
    """left, right: (H, W, 3) BGR uint8, full pictures of a parallel rig; people: (P, 17, 3) metres, left optical frame, of
    those whom somebody could see (SEEN_JOINTS in both pictures)."""

    left: np.ndarray
    right: np.ndarray
    rig: StereoRig
    people: np.ndarray


def empty_pairs(
    ranges: SyntheticConfig, shared: Path, bodies: Path, count: int, behind: int = 0
) -> Iterator[WholePair]:
    """Rooms, furniture, plants, photographs and light as in synthetic-test, every pair with another rig.

    behind: so many seeds after the first. Raises FileNotFoundError naming what is missing.
    """
    first = FIRST_SEED + behind
    ranges = replace(ranges, empty_share=1.0, coarse_share=0.0)
    return whole_pairs(ranges, shared, bodies, range(first, first + count))


def peopled_pairs(
    ranges: SyntheticConfig, shared: Path, bodies: Path, count: int, behind: int = 0
) -> Iterator[WholePair]:
    """The same with one or two people in sight; raises as empty_pairs."""
    first = FIRST_SEED_WITH_PEOPLE + behind
    seeds = range(first, first + 10 * count)
    pairs = whole_pairs(replace(ranges, empty_share=0.0), shared, bodies, seeds)
    return islice((pair for pair in pairs if len(pair.people)), count)


def pairs_at(
    ranges: SyntheticConfig, shared: Path, bodies: Path, count: int, size: tuple[int, int], metres: tuple[float, float]
) -> Iterator[WholePair]:
    """As peopled_pairs, in pictures of one size (width, height) with one person at such a distance, out to the edges."""
    width, height = size
    ranges = replace(ranges, widths=(width,), aspects=(height / width,), second_person_share=0.0)
    ranges = replace(ranges, distance=metres, distance_wide=metres, place_std=PLACE_STD_ANYWHERE)
    return peopled_pairs(ranges, shared, bodies, count, behind=round(1_000_000 * metres[0]))


def pairs_of_two(ranges: SyntheticConfig, shared: Path, bodies: Path, count: int) -> Iterator[WholePair]:
    """The same with two people who can both be seen; raises as empty_pairs."""
    seeds = range(FIRST_SEED_WITH_PEOPLE, FIRST_SEED_WITH_PEOPLE + 100 * count)
    pairs = whole_pairs(replace(ranges, empty_share=0.0, second_person_share=1.0), shared, bodies, seeds)
    return islice((pair for pair in pairs if len(pair.people) == 2), count)


def whole_pairs(ranges: SyntheticConfig, shared: Path, bodies: Path, seeds: range) -> Iterator[WholePair]:
    """The pairs of these seeds, from what is kept for evaluation."""
    pairs = SyntheticPairs(ranges, shared, bodies, split="val")
    for seed in seeds:
        generator = np.random.default_rng(seed)
        what = pairs.compose(generator)
        view = what.view
        images, depths, kinds = both_views(what)
        left, right = expose(images, sample_exposure(generator, images.shape[1:3], 1.0, pairs.config))
        people = []
        for k, mesh in enumerate(what.people):
            joints = mesh.joints @ view.rotation.T
            if in_sight(joints, view.projections, depths, kinds if k == 0 else both_views(what, k)[2]):
                people.append(joints)
        yield WholePair(left, right, parallel_rig(view.projections, view.size), np.reshape(people, (-1, 17, 3)))


def both_views(what: Composition, person: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(images (2, H, W, 3) float32, depths (2, H, W), kinds (2, H, W)) of whole pictures; person: see render_view."""
    view, rendered = what.view, []
    for projection in view.projections:
        camera = np.array([projection[0, 0], projection[1, 1], projection[0, 2], projection[1, 2]], np.float32)
        origin = view.rotation.T @ [-projection[0, 3] / projection[0, 0], 0, 0]
        rotation = view.rotation.astype(np.float32)
        rendered.append(render_view(what, camera, origin.astype(np.float32), rotation, view.size, person=person))
    images, depths, kinds = (np.stack(values) for values in zip(*rendered, strict=True))
    return images, depths, kinds


def in_sight(joints: np.ndarray, projections: np.ndarray, depths: np.ndarray, kinds: np.ndarray) -> bool:
    """Whether both pictures show enough of a person (17, 3); depths, kinds: (2, H, W), what was rendered."""
    keypoints = project(joints[None], projections[None])[0]
    high = np.array(depths.shape[:0:-1]) - 1
    inside = ((keypoints >= 0) & (keypoints <= high)).all(-1)
    visibility = joint_visibility(joints[:, 2], keypoints, depths, kinds, inside)
    return bool((visibility == VISIBLE).sum(1).min() >= SEEN_JOINTS)


def parallel_rig(projections: np.ndarray, size: tuple[int, int]) -> StereoRig:
    """The rig of pictures that are rectified already."""
    left, right = (Camera(p[:, :3].copy(), np.zeros(0), np.eye(3), size) for p in projections)
    return StereoRig((left, right), projections)


def upper_rate(found: int, pairs: int) -> float:
    """The rate below which the true one lies with 95 % certainty (Clopper–Pearson)."""
    if found == 0:
        return min(RATE_OF_NONE / pairs, 1.0)
    from scipy.stats import beta

    return float(beta.ppf(0.95, found + 1, pairs - found)) if found < pairs else 1.0
