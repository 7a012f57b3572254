"""Strict rendering of the Mako templates in kernels/, once: what was rendered is kept on disk, for Mako takes as long as a warm driver."""

import hashlib
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from clconv import disk
from clconv.errors import BuildError
from clconv.schedule import Kernel

if TYPE_CHECKING:
    from mako.lookup import TemplateLookup


def data_directory(name: str, *beside: str) -> Path:
    """A folder of data files: inside the installed package, or beside it in a checkout."""
    package = Path(__file__).parent
    for candidate in (package / name, package.parent.joinpath(*(beside or (name,)))):
        if candidate.is_dir():
            return candidate
    raise FileNotFoundError(f"clconv is installed without its folder {name}/")


@cache
def kernels_digest() -> str:
    """Short digest of all kernel templates: changed kernels are rendered and checked again."""
    digest = hashlib.sha256()
    for file in sorted(data_directory("kernels").glob("*.cl")):
        digest.update(file.read_bytes())
    return digest.hexdigest()[:16]


def folder() -> Path:
    """Where rendered sources are kept."""
    return disk.folder() / "sources"


@cache
def _lookup() -> "TemplateLookup":
    from mako.lookup import TemplateLookup

    return TemplateLookup([str(data_directory("kernels"))], strict_undefined=True, input_encoding="utf-8")


def render(kernel: Kernel) -> str:
    """OpenCL C source of a specialised kernel.

    Raises
    ------
    BuildError
        The template failed; the message carries its arguments and Mako's account of the line.
    """
    key = hashlib.sha256(f"{kernels_digest()} {kernel.arguments!r}".encode()).hexdigest()
    file = folder() / f"{kernel.name}-{key[:32]}.cl"
    try:
        return file.read_text(encoding="utf-8")
    except (OSError, ValueError):
        text = _rendered(kernel)
    disk.remember(file, text)
    return text


def _rendered(kernel: Kernel) -> str:
    from mako.exceptions import text_error_template

    arguments = dict(kernel.arguments)
    try:
        return str(_lookup().get_template(f"{kernel.name}.cl").render(**arguments))
    except Exception as error:
        raise BuildError(f"kernels/{kernel.name}.cl doesn't render with {arguments}:\n{text_error_template().render()}") from error
