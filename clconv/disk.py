"""The library's cache on disk. Files are replaced as a whole: a reader never sees half of one, nor what two writers wrote at once."""

import os
import sys
import tempfile
from contextlib import suppress
from pathlib import Path


def home() -> Path | None:
    """Where caches are: in XDG_CACHE_HOME, or the system's place for them; None for a user without a home, as in some containers."""
    system = (
        os.environ.get("LOCALAPPDATA", "~") if sys.platform == "win32" else "~/Library/Caches" if sys.platform == "darwin" else "~/.cache"
    )
    try:
        return Path(os.environ.get("XDG_CACHE_HOME") or system).expanduser() / "clconv"
    except RuntimeError:
        return None


def folder() -> Path:
    """The same, or else a folder among temporary files, which others may write: for nothing that is run."""
    return home() or Path(tempfile.gettempdir()) / "clconv"


def replace(file: Path, text: str) -> None:
    """Write a file; OSError where that can't be."""
    handle, temporary = tempfile.mkstemp(prefix=f".{file.name}.", dir=file.parent)
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as writer:
            writer.write(text)
        Path(temporary).replace(file)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def remember(file: Path, text: str) -> None:
    """Write a file of a cache, with its folders; one that can't be written only costs time."""
    with suppress(OSError):
        file.parent.mkdir(parents=True, exist_ok=True)
        replace(file, text)
