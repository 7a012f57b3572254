"""Files that are replaced as a whole: a reader never sees half of one, nor what two processes wrote at once."""

import os
from contextlib import suppress
from pathlib import Path


def replace(file: Path, text: str) -> None:
    """Write a file; OSError where that can't be."""
    temporary = file.with_name(f".{file.name}.{os.getpid()}")
    temporary.write_text(text, encoding="utf-8")
    temporary.replace(file)


def remember(file: Path, text: str) -> None:
    """Write a file of a cache, with its folders; one that can't be written only costs time."""
    with suppress(OSError):
        file.parent.mkdir(parents=True, exist_ok=True)
        replace(file, text)
