"""Where a result comes from: versions, commit, and what drivers and this library were told by the environment."""

import os
import platform
import subprocess
from importlib.metadata import version
from pathlib import Path
from typing import Any

import clconv

PACKAGES = ("pyopencl", "numpy", "mako", "ml_dtypes")

VARIABLES = ("CLCONV_", "PYOPENCL_", "OCL_", "OPENCL_", "POCL_", "RUSTICL_", "CL_")
"""How the names begin of variables that drivers and this library listen to."""


def environment() -> dict[str, Any]:
    """Versions of what computes, the commit of a checkout, and the variables that matter, as plain values."""
    system = {"clconv": clconv.__version__, "commit": commit(), "python": platform.python_version(), "system": platform.platform()}
    versions = {name: version(name) for name in PACKAGES}
    return {**system, **versions, "variables": variables()}


def variables() -> dict[str, str]:
    """What was set of the variables that matter; PYOPENCL_HOME is set by pyopencl itself."""
    return {name: value for name, value in sorted(os.environ.items()) if name.startswith(VARIABLES) and name != "PYOPENCL_HOME"}


def commit() -> str | None:
    """The checkout's commit, with "-dirty" where files differ from it; CLCONV_COMMIT says it for a copy without git; None elsewhere."""
    if "CLCONV_COMMIT" in os.environ:
        return os.environ["CLCONV_COMMIT"]
    checkout = Path(clconv.__file__).parents[1]
    if not (checkout / ".git").exists():
        return None
    try:
        command = ["git", "-C", str(checkout), "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return None
