"""Strict rendering of the Mako templates in kernels/, once: what was rendered is kept on disk, for Mako takes as long as a warm driver."""

import hashlib
import shutil
import time
from contextlib import suppress
from functools import cache
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING

from clconv import disk
from clconv.errors import BuildError
from clconv.schedule import Kernel

if TYPE_CHECKING:
    from mako.lookup import TemplateCollection

_OLD = 30 * 24 * 3600.0
"""Seconds, a month, after which what was rendered of other templates is removed."""

_compiling = Lock()


def data_directory(name: str, *beside: str) -> Path:
    """A folder of data files: inside the installed package, or beside it in a checkout."""
    package = Path(__file__).parent
    for candidate in (package / name, package.parent.joinpath(*(beside or (name,)))):
        if candidate.is_dir():
            return candidate
    raise FileNotFoundError(f"clconv is installed without its folder {name}/")


@cache
def _texts() -> dict[str, str]:
    """All kernel templates by the names of their files, as they are when a process first asks."""
    return {file.name: file.read_text(encoding="utf-8") for file in sorted(data_directory("kernels").glob("*.cl"))}


@cache
def kernels_digest() -> str:
    """Short digest of all kernel templates: changed kernels are rendered and checked again."""
    digest = hashlib.sha256()
    for text in _texts().values():
        digest.update(text.encode())
    return digest.hexdigest()[:16]


def folder() -> Path | None:
    """Where rendered sources are kept, in a folder for each digest of the templates; None if there is no place of the user's own."""
    above = disk.home()
    return above / "sources" if above else None


@cache
def _templates() -> "TemplateCollection":
    from mako.exceptions import TemplateLookupException
    from mako.lookup import TemplateCollection
    from mako.template import Template

    class Templates(TemplateCollection):  # type: ignore[misc]  # Mako has no types
        """Made of `_texts` as they are wanted, by one thread at a time, for Mako changes `warnings` while it compiles."""

        def __init__(self) -> None:
            self._made: dict[str, Template] = {}

        def get_template(self, uri: str, relativeto: str | None = None) -> Template:
            with _compiling:
                if uri not in self._made:
                    if uri not in _texts():
                        raise TemplateLookupException(f"there is no kernels/{uri}")
                    self._made[uri] = Template(_texts()[uri], uri=uri, filename=f"kernels/{uri}", lookup=self, strict_undefined=True)
                return self._made[uri]

    return Templates()


def render(kernel: Kernel) -> str:
    """OpenCL C source of a specialised kernel.

    Raises
    ------
    BuildError
        The template failed; the message carries its arguments and Mako's account of the line.
    """
    above = folder()
    if above is None:
        return _rendered(kernel)
    key = hashlib.sha256(repr(kernel.arguments).encode()).hexdigest()
    file = above / kernels_digest() / f"{kernel.name}-{key[:32]}.cl"
    try:
        if text := file.read_text(encoding="utf-8"):
            return text
    except (OSError, ValueError):
        pass
    text = _rendered(kernel)
    if not file.parent.exists():
        _forget_old(above)
    disk.remember(file, text)
    return text


def _forget_old(above: Path) -> None:
    """Remove what was rendered of other templates and wasn't added to for long."""
    with suppress(OSError):
        for other in above.iterdir():
            if other.stat().st_mtime < time.time() - _OLD:
                shutil.rmtree(other, ignore_errors=True)


def _rendered(kernel: Kernel) -> str:
    from mako.exceptions import text_error_template

    arguments = dict(kernel.arguments)
    try:
        return str(_templates().get_template(f"{kernel.name}.cl").render(**arguments))
    except Exception as error:
        raise BuildError(f"kernels/{kernel.name}.cl doesn't render with {arguments}:\n{text_error_template().render()}") from error
