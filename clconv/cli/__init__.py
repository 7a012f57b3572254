"""The command line's door: runs without any extra, so that it can say which one is missing."""

import sys

_EXTRAS = {
    "click": ("cli",),
    "rich": ("cli",),
    "platformdirs": ("cli",),
    "skimage": ("demo",),
    "scipy": ("demo",),
    "threadpoolctl": ("demo",),
    "matplotlib": ("bench", "demo"),
    "tomli": ("bench",),
}
"""The extras that bring a module; the one with the command's name is told, else the first."""


def main() -> None:
    """Run the command line `clconv`; ends the process with 0, with 1 for an error of the library, with 2 for wrong usage."""
    try:
        from clconv.cli.group import commands
    except ModuleNotFoundError as error:
        sentence = what_to_install(error)
        if sentence is None:
            raise
        sys.exit(sentence)
    commands(prog_name="clconv")


def what_to_install(error: ModuleNotFoundError, command: str | None = None) -> str | None:
    """Say which extra brings the module that a command didn't find; None if it belongs to no extra."""
    module = (error.name or "").partition(".")[0]
    if module not in _EXTRAS:
        return None
    extra = command if command in _EXTRAS[module] else _EXTRAS[module][0]
    return f"this command needs {module}, which is not installed: pip install 'clconv[{extra}]'"
