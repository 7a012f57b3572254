"""The library's cache on disk. Files are replaced as a whole: a reader never sees half of one, nor what two writers wrote at once."""

import os
import sys
import tempfile
from contextlib import suppress
from pathlib import Path
from uuid import uuid4


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


def replace(file: Path, content: str | bytes) -> None:
    """Write a file; OSError where that can't be."""
    temporary = file.with_name(f".{file.name}.{uuid4().hex}")
    try:
        temporary.write_bytes(content.encode() if isinstance(content, str) else content)
        temporary.replace(file)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def remember(file: Path, content: str | bytes) -> None:
    """Write a file of a cache, with its folders; one that can't be written only costs time."""
    with suppress(OSError):
        file.parent.mkdir(parents=True, exist_ok=True)
        replace(file, content)
