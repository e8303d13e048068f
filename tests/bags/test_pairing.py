"""Pairing by stamp is one-to-one, mutual, and blind to order of arrival."""

from hypothesis import given
from hypothesis import strategies as st

from rsb_pose_ros.bags.pairing import DEFAULT_TOLERANCE_NS, pair_stamps, tolerance_of

stamps = st.lists(st.integers(0, 1000), max_size=30, unique=True).map(sorted)


@given(stamps, stamps, st.integers(0, 60))
def test_pairs_are_one_to_one_near_and_in_order(left, right, tolerance):
    pairs = pair_stamps(left, right, tolerance)
    for column in zip(*pairs) if pairs else ():
        assert list(column) == sorted(set(column))
    for i, j in pairs:
        assert abs(left[i] - right[j]) <= tolerance
        assert abs(left[i] - right[j]) == min(abs(left[i] - r) for r in right)


@given(stamps, st.integers(0, 100))
def test_equal_stamps_are_always_paired(both, tolerance):
    assert pair_stamps(both, both, tolerance) == [(i, i) for i in range(len(both))]


def test_tolerance_is_a_third_of_the_period_and_never_much():
    assert tolerance_of([0, 9_000_000, 18_000_000], [5]) == 3_000_000
    assert tolerance_of([0, 10**9], []) == DEFAULT_TOLERANCE_NS
    assert tolerance_of([], []) == DEFAULT_TOLERANCE_NS
