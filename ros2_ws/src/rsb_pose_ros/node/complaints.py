"""Sentences about what is wrong with the input: counted, and on the log at once but not thirty times a second."""

from __future__ import annotations

import re
import threading
import time
from collections import Counter
from collections.abc import Callable

LOG_PERIOD = 5.0
"""Seconds after which a complaint that goes on is logged again."""


class Refused(Exception):
    """A pair from which nothing can be published. reason: a short noun phrase, as diagnostics shows it."""

    def __init__(self, reason: str, sentence: str) -> None:
        super().__init__(sentence)
        self.reason = reason


class Complaints:
    """Collects complaints from any thread.

    log: called with a sentence that is due. Sentences that differ only in their numbers count as the same one.
    """

    def __init__(self, log: Callable[[str], None], now: Callable[[], float] = time.monotonic) -> None:
        self.counts: Counter[str] = Counter()
        self._log = log
        self._now = now
        self._lock = threading.Lock()
        self._logged: dict[str, float] = {}
        self._latest: dict[str, tuple[float, str]] = {}

    def say(self, reason: str, sentence: str) -> None:
        """Count one more case of `reason`, a short noun phrase for diagnostics, and log the sentence if it is due."""
        with self._lock:
            now = self._now()
            self.counts[reason] += 1
            self._latest[reason] = (now, sentence)
            kind = re.sub(r"[-+\d.e]*\d", "#", sentence)
            due = now - self._logged.get(kind, -LOG_PERIOD) >= LOG_PERIOD
            if due:
                self._logged[kind] = now
        if due:
            self._log(sentence)

    def settle(self, reason: str) -> None:
        """What was complained of is mended: the next such sentence is logged at once."""
        with self._lock:
            self._latest.pop(reason, None)
            self._logged.clear()

    def recent(self, seconds: float = LOG_PERIOD) -> dict[str, str]:
        """Sentences of the last seconds, by reason."""
        with self._lock:
            since = self._now() - seconds
            return {reason: sentence for reason, (when, sentence) in self._latest.items() if when >= since}
