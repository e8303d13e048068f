"""Whole pictures know everybody who can be seen, not the first person alone."""

import numpy as np
import pytest

from rsb_pose_ros.benchmark.whole_pictures import both_views, pairs_of_two
from rsb_pose_ros.data.synthetic.scenes import OBJECT, PERSON
from rsb_pose_ros.stereo import project

pytestmark = pytest.mark.usefixtures("pack")


def test_pairs_of_two_hold_two_people_in_both_pictures(pairs, shared):
    from tests.data.conftest import BODIES

    for pair in pairs_of_two(pairs.config, shared, BODIES, 2):
        height, width = pair.left.shape[:2]
        keypoints = project(pair.people, pair.rig.projections[None])
        inside = ((keypoints >= 0) & (keypoints <= [width - 1, height - 1])).all(-1)
        assert pair.people.shape == (2, 17, 3)
        assert (inside.sum(-1) >= 8).all()


def test_everybody_in_turn_is_the_person_and_the_others_are_things(pairs):
    """What is a thing hides; a person's own skin must not count as one."""
    generator = np.random.default_rng(3)
    what = next(w for w in iter(lambda: pairs.compose(generator), None) if len(w.people) == 2)
    _, depths, kinds = both_views(what)
    _, same_depths, swapped = both_views(what, person=1)
    np.testing.assert_array_equal(depths, same_depths)
    first, second = kinds == PERSON, swapped == PERSON
    assert (swapped[first] == OBJECT).all()
    assert (kinds[second] == OBJECT).all()
    assert not (first & second).any()
