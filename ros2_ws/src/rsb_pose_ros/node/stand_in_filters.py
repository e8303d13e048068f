"""The part of message_filters that this node needs, for environments that have rclpy but not that package (pip).

Same names, arguments and matching rule as ROS's message_filters (Python): a pair matches when its stamps differ by
less than `slop`; each queue holds `queue_size` messages and drops the oldest stamp. One difference, on purpose: an
exception in a callback does not leave the lock held.
"""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable, Sequence
from typing import Any


class SimpleFilter:
    """A source of messages: what is signalled goes to every registered callback."""

    def __init__(self) -> None:
        self.callbacks: dict[int, tuple[Callable[..., Any], tuple[Any, ...]]] = {}

    def registerCallback(self, callback: Callable[..., Any], *args: Any) -> int:
        """Call `callback(*messages, *args)` for every output. Returns the connection's number."""
        self.callbacks[len(self.callbacks)] = (callback, args)
        return len(self.callbacks) - 1

    def signalMessage(self, *messages: Any) -> None:
        """Hand messages to every callback."""
        for callback, args in list(self.callbacks.values()):
            callback(*messages, *args)


class TimeSynchronizer(SimpleFilter):
    """Signals one message of every input when their stamps are equal."""

    def __init__(self, fs: Sequence[Any], queue_size: int) -> None:
        super().__init__()
        self.queue_size = queue_size
        self.queues: list[dict[int, Any]] = [{} for _ in fs]
        self.lock = threading.Lock()
        for index, source in enumerate(fs):
            source.registerCallback(self.add, self.queues[index], index)

    def add(self, message: Any, queue: dict[int, Any], index: int) -> None:
        """Take a message of input `index`; signal the match it completes, if any."""
        with self.lock:
            stamp = _nanoseconds(message)
            queue[stamp] = message
            while len(queue) > self.queue_size:
                del queue[min(queue)]
            match = self._match(stamp, index)
            if match is None:
                return
            messages = [q.pop(s) for q, s in zip(self.queues, match, strict=True)]
            self.signalMessage(*messages)

    def _match(self, stamp: int, index: int) -> list[int] | None:
        return [stamp] * len(self.queues) if all(stamp in queue for queue in self.queues) else None


class ApproximateTimeSynchronizer(TimeSynchronizer):
    """Signals one message of every input when their stamps differ by less than `slop` seconds."""

    def __init__(self, fs: Sequence[Any], queue_size: int, slop: float) -> None:
        super().__init__(fs, queue_size)
        self.slop = round(slop * 1e9)

    def _match(self, stamp: int, index: int) -> list[int] | None:
        if stamp not in self.queues[index]:
            return None
        candidates = [sorted(queue, key=lambda s: abs(s - stamp)) for queue in self.queues]
        candidates[index] = [stamp]
        for match in itertools.product(*candidates):
            if max(match) - min(match) < self.slop:
                return list(match)
        return None


def _nanoseconds(message: Any) -> int:
    return message.header.stamp.sec * 1_000_000_000 + message.header.stamp.nanosec
