"""CLCONV_LOG=info says what was chosen, built and launched, and nothing is printed without it."""

import os
import subprocess
import sys

from clconv import Device

CALL = """
import numpy as np, clconv
clconv.conv2d(np.ones((1, 1, 4, 5), "float32"), np.ones((1, 1, 3, 3), "float32"), device={index!r})
"""


def _printed(device: Device, level: str | None) -> str:
    environment = {name: value for name, value in os.environ.items() if name != "CLCONV_LOG"} | ({"CLCONV_LOG": level} if level else {})
    done = subprocess.run(
        [sys.executable, "-c", CALL.format(index=device.index)], env=environment, capture_output=True, text=True, check=True
    )
    return done.stdout + done.stderr


def test_info_tells_what_happens(device: Device) -> None:
    printed = _printed(device, "info")
    assert f"clconv: forward on {device.label}: " in printed
    assert "bytes of workspace" in printed
    assert "clconv: built forward_" in printed
    assert "clconv: launch forward_" in printed


def test_silent_without_it(device: Device) -> None:
    assert "clconv:" not in _printed(device, None)
