"""The command line. `main` needs no extra itself, so that a missing one can be named."""

import sys


def main() -> None:
    """Run the command clconv; exits with 0, 1 after an error of this library, 2 after a wrong command line."""
    try:
        from clconv.cli.group import run
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] not in ("click", "rich", "platformdirs"):
            raise
        sys.exit(f"clconv's command line needs {error.name}: pip install 'clconv[cli]'")
    run()
