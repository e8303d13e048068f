"""Measuring this project against itself and against others (tools/benchmark.py). It may import everything; nothing of the
package imports it."""
