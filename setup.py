"""What is installed where: folders of the checkout that become packages. pyproject.toml holds everything else."""

from pathlib import Path

from setuptools import find_packages, setup

# OpenCL sources and benchmark suites lie beside the Python package, where readers look for them, and are installed inside it.
FOLDERS = {"clconv.kernels": "kernels", "clconv.suites": "bench/suites"}
present = {package: folder for package, folder in FOLDERS.items() if Path(folder).is_dir()}

setup(
    packages=[*find_packages(include=["clconv", "clconv.*"]), *present],
    package_dir=present,
    package_data={"clconv": ["py.typed", "defaults/*"], "clconv.kernels": ["*.cl"], "clconv.suites": ["*"]},
)
