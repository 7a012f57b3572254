"""Which devices the tests run on: every one of every driver, or those that --device names."""

import pytest

from clconv import ClconvError, Device, devices
from clconv.device import resolve


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--device", action="append", default=[], help="run on this device alone: index, kind or part of a name; repeatable")


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
