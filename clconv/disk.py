"""The library's cache on disk. Files are replaced as a whole: a reader never sees half of one, nor what two processes wrote at once."""

import os
import sys
import tempfile
from contextlib import suppress
from pathlib import Path


def folder() -> Path:
    """Where caches are: in XDG_CACHE_HOME, or the system's place for them."""
    system = (
        os.environ.get("LOCALAPPDATA", "~") if sys.platform == "win32" else "~/Library/Caches" if sys.platform == "darwin" else "~/.cache"
    )
    try:
        above = Path(os.environ.get("XDG_CACHE_HOME") or system).expanduser()
    except RuntimeError:  # a user without a home, as in some containers
        above = Path(tempfile.gettempdir())
    return above / "clconv"


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
