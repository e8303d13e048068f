"""Measuring this project against itself and against others (tools/benchmark.py). It may import everything; nothing of the
package imports it."""


class BenchmarkError(RuntimeError):
    """Something that is measured cannot be installed, started or asked; the message says what, and what to do."""
