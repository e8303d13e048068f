"""The One-Euro filter: calm at rest, quick in motion, honest about gaps."""

from dataclasses import replace

import numpy as np
import pytest

from rsb_pose_ros.inference import OneEuroFilter, PersonSmoother
from tests.inference.blob_scene import standing_at
from tests.inference.test_track import person

FRAME = 1 / 30


def run(one_euro, values):
    return np.array([one_euro.filter(v, i * FRAME) for i, v in enumerate(values)])


def test_noise_at_rest_is_reduced():
    noisy = np.random.default_rng(0).normal(0, 0.01, (300, 17, 3))
    assert run(OneEuroFilter(), noisy)[30:].std() < 0.5 * noisy.std()


def test_motion_is_followed_with_little_lag():
    walk = np.zeros((90, 1, 3))
    walk[:, 0, 0] = np.arange(90) * FRAME * 1.5
    slow, quick = run(OneEuroFilter(beta=0.0), walk), run(OneEuroFilter(beta=5.0), walk)
    lag = walk[-1, 0, 0] - np.array([slow[-1, 0, 0], quick[-1, 0, 0]])
    assert lag[1] < 0.3 * lag[0]


def test_the_first_value_and_a_constant_pass_unchanged():
    values = np.tile(standing_at(0, 0, 3), (5, 1, 1))
    np.testing.assert_allclose(run(OneEuroFilter(), values), values, atol=1e-6)


def test_unknown_stays_unknown_and_starts_anew():
    values = np.zeros((4, 2, 3))
    values[1, 0] = np.nan
    values[2:, 0] = 1.0
    smooth = run(OneEuroFilter(), values)
    assert np.isnan(smooth[1, 0]).all()
    np.testing.assert_allclose(smooth[2:, 0], 1.0)
    np.testing.assert_allclose(smooth[:, 1], 0.0)


@pytest.mark.parametrize("times", [(0.0, 0.0), (1.0, 0.5), (0.0, 5.0)])
def test_time_that_does_not_advance_or_jumps_starts_anew(times):
    one_euro = OneEuroFilter()
    one_euro.filter(np.zeros((1, 3)), times[0])
    np.testing.assert_allclose(one_euro.filter(np.ones((1, 3)), times[1]), 1.0)


def test_the_same_input_gives_the_same_output():
    values = np.random.default_rng(1).normal(size=(20, 17, 3))
    np.testing.assert_array_equal(run(OneEuroFilter(), values), run(OneEuroFilter(), values))


@pytest.mark.parametrize("options", [{"min_cutoff": 0}, {"beta": -1}, {"derivative_cutoff": 0}])
def test_settings_that_mean_nothing_are_refused(options):
    with pytest.raises(ValueError, match="expected cutoffs > 0"):
        OneEuroFilter(**options)


def test_each_person_has_a_filter_of_its_own():
    smoother = PersonSmoother()
    a, b = person(standing_at(0, 0, 3)), replace(person(standing_at(1, 0, 4)), id=1)
    smoother.smooth([a, b], 0.0)
    moved = replace(a, joints=standing_at(0.1, 0, 3))
    first, second = smoother.smooth([moved, b], FRAME)
    assert 0 < first.joints[6, 0] < 0.1
    np.testing.assert_allclose(second.joints, b.joints)
    np.testing.assert_array_equal(first.joints_initial, a.joints_initial)


def test_someone_who_comes_back_late_starts_anew():
    smoother = PersonSmoother()
    smoother.smooth([person(standing_at(0, 0, 3))], 0.0)
    smoother.smooth([], 1.5)
    (back,) = smoother.smooth([person(standing_at(1, 0, 3))], 1.6)
    np.testing.assert_allclose(back.joints, standing_at(1, 0, 3))
    smoother.reset()
