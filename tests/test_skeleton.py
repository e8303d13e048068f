"""The skeleton is data that all else relies on."""

import numpy as np

from rsb_pose_ros.skeleton import (
    BONES,
    END_EFFECTORS,
    INDEX,
    JOINT_COUNT,
    JOINT_NAMES,
    MIRROR,
    PARENT_NAMES,
    ROOT,
    bone_rgb,
    joint_rgb,
)


def test_joint_order_is_that_of_human36m_17():
    assert JOINT_COUNT == len(JOINT_NAMES) == len(set(JOINT_NAMES)) == 17
    assert JOINT_NAMES[ROOT] == "pelvis"
    assert ROOT == 6
    assert [INDEX[n] for n in ("r_ankle", "l_ankle", "head_top", "r_wrist", "l_wrist", "nose")] == [0, 5, 9, 10, 15, 16]


def test_bones_are_a_tree_from_the_pelvis():
    assert set(PARENT_NAMES) == set(JOINT_NAMES)
    assert len(BONES) == JOINT_COUNT - 1
    reached = {ROOT}
    for _ in BONES:
        reached |= {child for parent, child in BONES if parent in reached}
    assert reached == set(range(JOINT_COUNT))


def test_mirror_swaps_sides_and_is_its_own_inverse():
    assert [MIRROR[MIRROR[i]] for i in range(JOINT_COUNT)] == list(range(JOINT_COUNT))
    assert JOINT_NAMES[MIRROR[INDEX["r_knee"]]] == "l_knee"
    assert [JOINT_NAMES[i] for i in range(JOINT_COUNT) if MIRROR[i] == i] == [
        "pelvis",
        "thorax",
        "neck",
        "head_top",
        "nose",
    ]
    mirrored_bones = {(MIRROR[a], MIRROR[b]) for a, b in BONES}
    assert mirrored_bones == set(BONES)


def test_end_effectors_are_leaves_or_the_ends_of_limbs():
    parents = {parent for parent, _ in BONES}
    assert not parents & set(END_EFFECTORS)


def test_colours_tell_left_from_right():
    colours = np.array([joint_rgb(i) for i in range(JOINT_COUNT)])
    assert ((colours >= 0) & (colours <= 1)).all()
    assert joint_rgb(INDEX["r_knee"]) != joint_rgb(INDEX["l_knee"]) != joint_rgb(INDEX["neck"])
    assert bone_rgb((ROOT, INDEX["l_hip"])) == joint_rgb(INDEX["l_hip"])
