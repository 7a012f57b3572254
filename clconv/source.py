"""Strict rendering of the Mako templates in kernels/."""

from functools import lru_cache
from pathlib import Path

from mako.exceptions import text_error_template
from mako.lookup import TemplateLookup

from clconv.errors import BuildError
from clconv.schedule import Kernel


def data_directory(name: str, *beside: str) -> Path:
    """A folder of data files: inside the installed package, or beside it in a checkout."""
    package = Path(__file__).parent
    for candidate in (package / name, package.parent.joinpath(*(beside or (name,)))):
        if candidate.is_dir():
            return candidate
    raise FileNotFoundError(f"clconv is installed without its folder {name}/")


@lru_cache(maxsize=1)
def _lookup() -> TemplateLookup:
    return TemplateLookup([str(data_directory("kernels"))], strict_undefined=True, input_encoding="utf-8")


def render(kernel: Kernel) -> str:
    """OpenCL C source of a specialised kernel.

    Raises
    ------
    BuildError
        The template failed; the message carries its arguments and Mako's account of the line.
    """
    arguments = dict(kernel.arguments)
    try:
        return str(_lookup().get_template(f"{kernel.name}.cl").render(**arguments))
    except Exception as error:
        raise BuildError(f"kernels/{kernel.name}.cl doesn't render with {arguments}:\n{text_error_template().render()}") from error
