"""Throttling by sentence, counting by reason."""

from rsb_pose_ros.node.complaints import LOG_PERIOD, Complaints


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


def test_a_sentence_that_differs_only_in_numbers_is_logged_once_a_period():
    clock, lines = Clock(), []
    complaints = Complaints(lines.append, clock)
    for age in (0.51, 0.52, 1e-3):
        complaints.say("too old", f"a pair is {age} s old")
    assert len(lines) == 1
    complaints.say("too old", "quite another sentence")
    assert len(lines) == 2
    clock.now += LOG_PERIOD
    complaints.say("too old", "a pair is 9 s old")
    assert len(lines) == 3
    assert complaints.counts == {"too old": 5}


def test_what_is_mended_is_said_at_once_when_it_comes_back_and_no_longer_recent():
    clock, lines = Clock(), []
    complaints = Complaints(lines.append, clock)
    complaints.say("calibration refused", "P is zero")
    assert complaints.recent() == {"calibration refused": "P is zero"}
    complaints.settle("calibration refused")
    assert complaints.recent() == {}
    complaints.say("calibration refused", "P is zero")
    assert lines == ["P is zero", "P is zero"]


def test_old_complaints_are_not_recent():
    clock = Clock()
    complaints = Complaints(lambda _: None, clock)
    complaints.say("bad image", "is empty")
    clock.now += LOG_PERIOD + 0.1
    assert complaints.recent() == {}
    assert complaints.counts["bad image"] == 1
