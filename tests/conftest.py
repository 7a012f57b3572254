"""Which devices the tests run on: every one of every driver, or those that --device names."""

import os
import tempfile

import pytest

from clconv import ClconvError, Device, devices
from clconv.device import resolve


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--device", action="append", default=[], help="run on this device alone: index, kind or part of a name; repeatable")
    parser.addoption("--full", action="store_true", help="run the thorough tests on every device, not on the default one alone")
    parser.addoption("--expect", action="append", default=[], help="fail unless this platform (and driver) is there; repeatable")


def pytest_configure(config: pytest.Config) -> None:
    """A kernel cache of its own for each parallel worker, for PoCL's isn't safe between processes; and no tile that this user tuned.

    No binaries unless asked for: each kernel would be compiled twice.
    """
    os.environ["CLCONV_TUNED"] = "0"
    os.environ.setdefault("CLCONV_BINARIES", "0")
    if "PYTEST_XDIST_WORKER" in os.environ:
        os.environ["POCL_CACHE_DIR"] = os.environ["XDG_CACHE_HOME"] = tempfile.mkdtemp(prefix="clconv-tests-")
    config.addinivalue_line("markers", "thorough: one of many alike; runs on the default device, on others with --full or --device")
    present = [f"{device.platform} {device.driver}" for device in _present(config)]
    missing = [name for name in config.getoption("--expect") if not any(text.startswith(name) for text in present)]
    if missing:
        raise pytest.UsageError(f"expected OpenCL platforms are not there: {', '.join(missing)}; there are: {', '.join(present)}")


def _present(config: pytest.Config) -> list[Device]:
    names = config.getoption("--device")
    try:
        return [resolve(name) for name in names] if names else [device for device in devices() if not device.simulator]
    except ClconvError as error:
        raise pytest.UsageError(str(error)) from error


def pytest_report_header(config: pytest.Config) -> list[str]:
    return [f"device {device.index}: {device.label}, driver {device.driver}" for device in _present(config)]


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "device" in metafunc.fixturenames:
        present = _present(metafunc.config)
        metafunc.parametrize("device", present, ids=[f"{device.platform.split('(')[0].split()[0]}-{device.index}" for device in present])


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Thorough tests run on one device unless more is asked for: each compiles kernels of its own, which takes most of the time."""
    if config.getoption("--full") or config.getoption("--device"):
        return
    main = min(_present(config), key=lambda device: device != resolve())
    others = [item for item in items if item.get_closest_marker("thorough") and _device_of(item) not in (None, main)]
    config.hook.pytest_deselected(items=others)
    items[:] = [item for item in items if item not in set(others)]


def _device_of(item: pytest.Item) -> Device | None:
    callspec = getattr(item, "callspec", None)
    return None if callspec is None else callspec.params.get("device")
