"""A place for one value between two threads: the newest wins, and a value that was never taken is counted."""

from __future__ import annotations

import threading
from typing import Generic, TypeVar

Item = TypeVar("Item")


class Mailbox(Generic[Item]):
    """One writer puts, one reader takes. `replaced` counts the values that a newer one pushed out unread."""

    def __init__(self) -> None:
        self.replaced = 0
        self._item: Item | None = None
        self._closed = False
        self._changed = threading.Condition()

    def put(self, item: Item) -> None:
        """Leave an item; never blocks. One that still lies there is dropped and counted."""
        with self._changed:
            self.replaced += self._item is not None
            self._item = item
            self._changed.notify()

    def take(self, timeout: float | None = None) -> Item | None:
        """The newest item, removed; waits up to `timeout` seconds. None when nothing came or the box was closed."""
        with self._changed:
            self._changed.wait_for(lambda: self._item is not None or self._closed, timeout)
            item, self._item = self._item, None
            return None if self._closed else item

    def close(self) -> None:
        """Wake the reader; it gets None from now on."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
