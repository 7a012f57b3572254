"""Each integration without its package: importing it says what to install, and clconv itself needs none of them."""

import importlib
import subprocess
import sys

import pytest

NEEDS = {"torch": "torch", "onnx": "onnx.reference.op_run", "dask": "dask.array", "viz": "matplotlib.axes"}


@pytest.mark.parametrize("extra", NEEDS)
def test_import_without_the_package_says_what_to_install(extra: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, NEEDS[extra], None)
    monkeypatch.delitem(sys.modules, f"clconv.{extra}", raising=False)
    with pytest.raises(ImportError, match=rf"^clconv\.{extra} needs .* `pip install 'clconv\[{extra}\]'`$"):
        importlib.import_module(f"clconv.{extra}")


def test_clconv_imports_none_of_the_packages() -> None:
    packages = {name.split(".")[0] for name in NEEDS.values()}
    command = f"import clconv, sys; print(*({packages!r} & set(sys.modules)))"
    found = subprocess.run([sys.executable, "-c", command], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == ""
