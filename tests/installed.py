"""Installs clconv in the ways that users do, each in a fresh environment, and uses it there from another folder.

    python tests/installed.py                           by this Python
    python tests/installed.py python3.10 python3.13     by each of these

A wheel built from the source distribution, an editable install, and a checkout that isn't installed: all must find their kernels.
"""

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

CHECKOUT = Path(__file__).parents[1]

USE = """
import sys, numpy, clconv
from clconv.source import data_directory
input = numpy.arange(2 * 3 * 8 * 9, dtype="float32").reshape(2, 3, 8, 9)
weight = numpy.ones((4, 3, 3, 3), "float32")
assert numpy.allclose(clconv.conv2d(input, weight), clconv.reference.conv2d(input, weight))
print(clconv.__version__, "of", clconv.__file__, "with", data_directory("kernels"), "by", sys.version.split()[0])
print(data_directory("kernels"))
"""


def run(*command: object, **options: object) -> str:
    """Output of a command; what it prints is shown if it fails."""
    done = subprocess.run([str(word) for word in command], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, **options)  # type: ignore[call-overload]
    if done.returncode:
        sys.exit(f"{' '.join(map(str, command))} failed with {done.returncode}:\n{done.stdout}")
    return str(done.stdout)


def used(python: Path, elsewhere: Path, kernels: Path, path: Path | None = None) -> None:
    """Use clconv in a folder that holds nothing; fail unless the kernels are those in `kernels`."""
    account, found = run(python, "-c", USE, cwd=elsewhere, env=os.environ | {"PYTHONPATH": str(path or "")}).strip().splitlines()[-2:]
    if Path(found).resolve() != kernels.resolve():
        sys.exit(f"kernels were taken from {found}, expected {kernels}")
    print(account, flush=True)


def ways(interpreter: str, work: Path) -> None:
    """Go through all ways with one interpreter."""
    unwanted = shutil.ignore_patterns(".*", "build", "dist", "*.egg-info", "__pycache__")
    source, elsewhere = shutil.copytree(CHECKOUT, work / "checkout", ignore=unwanted), work / "elsewhere"
    elsewhere.mkdir()
    run(interpreter, "-m", "venv", work / "venv")
    python = next(folder / "python" for folder in (work / "venv" / "bin", work / "venv" / "Scripts") if folder.exists())
    run(python, "-m", "pip", "install", "-q", "--upgrade", "pip", "build")
    run(python, "-m", "build", "--outdir", work / "dist", source)
    (wheel,) = (work / "dist").glob("*.whl")
    run(python, "-m", "pip", "install", "-q", f"{wheel}[cpu,bench]")
    (site,) = (work / "venv").glob("[lL]ib/**/site-packages")
    used(python, elsewhere, site / "clconv" / "kernels")
    run(python.parent / "clconv", "devices", cwd=elsewhere)
    if "r50c3" not in run(python.parent / "clconv", "bench", "--list", cwd=elsewhere):
        sys.exit("the wheel lacks the suites of the benchmark")
    run(python.parent / "clconv", "bench", "--layer", "quick-groups", "--pass", "forward", "--runs", 1, "--seconds", 0, cwd=elsewhere)
    run(python, "-m", "pip", "uninstall", "-q", "-y", "clconv")
    run(python, "-m", "pip", "install", "-q", "-e", source)
    used(python, elsewhere, source / "kernels")
    run(python, "-m", "pip", "uninstall", "-q", "-y", "clconv")
    used(python, elsewhere, source / "kernels", path=source)


def main() -> None:
    """Go through all ways with each interpreter."""
    os.environ.pop("PYTHONPATH", None)
    for interpreter in sys.argv[1:] or [sys.executable]:
        with tempfile.TemporaryDirectory() as work:
            ways(interpreter, Path(work))


if __name__ == "__main__":
    main()
