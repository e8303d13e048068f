"""Newest wins between two threads."""

import threading
import time

from rsb_pose_ros.node.mailbox import Mailbox


def test_the_newest_is_taken_and_the_rest_counted():
    box = Mailbox()
    for item in (1, 2, 3):
        box.put(item)
    assert box.take(0) == 3
    assert box.replaced == 2
    assert box.take(0) is None


def test_a_waiting_reader_is_woken():
    box = Mailbox()
    threading.Timer(0.05, box.put, ("pair",)).start()
    assert box.take(10) == "pair"
    assert box.replaced == 0


def test_closing_wakes_the_reader_and_what_lies_there_is_not_given_out():
    box = Mailbox()
    threading.Timer(0.05, box.close).start()
    start = time.monotonic()
    assert box.take(10) is None
    assert time.monotonic() - start < 5
    box.put("late")
    assert box.take(0) is None


def test_every_item_is_either_taken_or_counted():
    box, taken, total = Mailbox(), [], 2000

    def read():
        while (item := box.take(0.2)) is not None:
            taken.append(item)

    reader = threading.Thread(target=read)
    reader.start()
    for item in range(1, total + 1):
        box.put(item)
    reader.join()
    assert taken == sorted(taken) and taken[-1] == total
    assert len(taken) + box.replaced == total
