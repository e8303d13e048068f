"""Figures as Markdown tables, and their place in a page: between `<!-- marker -->` and `<!-- end -->`."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

END = "<!-- end -->"


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table; the first column is text, the others are numbers."""
    lines = [head, ["---"] + ["---:"] * (len(head) - 1), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def insert(page: Path, marker: str, text: str) -> None:
    """Replace what stands between the marker and the next end. Raises ValueError where the page has no such place."""
    content = page.read_text(encoding="utf-8")
    begin = f"<!-- {marker} -->\n"
    before, found, rest = content.partition(begin)
    _, ended, after = rest.partition(END)
    if not (found and ended):
        raise ValueError(f"{page}: has no lines {begin.strip()} … {END}; expected them around what is to be replaced")
    page.write_text(f"{before}{begin}{text}\n{END}{after}", encoding="utf-8")
