"""Before a fast variant is used on a device for the first time, it is checked there; what is wrong is switched off, with a warning.

Verdicts are remembered per device, driver and version of the kernels, in memory and in a file of the user's cache.
CLCONV_SELFCHECK=0 trusts every variant.
"""

import json
import os
import threading
import warnings
from functools import cache
from pathlib import Path

from clconv import disk
from clconv.device import Device
from clconv.schedule import Variant
from clconv.source import kernels_digest

_lock = threading.RLock()


class VariantWarning(UserWarning):
    """A variant gave wrong results on a device and was switched off."""


def trusted(which: str, variant: Variant, dtype: str, device: Device) -> bool:
    """Whether a variant may be used on a device for this element type; checks it if that isn't known yet."""
    if not variant.guarded or os.environ.get("CLCONV_SELFCHECK") == "0":
        return True
    key = _key(which, variant, dtype, device)
    with _lock:
        verdicts = _remembered(cache_file())
        if key not in verdicts:
            verdicts[key] = _check(which, variant, dtype, device)
            disk.remember(cache_file(), json.dumps(verdicts, indent=1))
        return not verdicts[key]


def switched_off(which: str, variant: Variant, dtype: str, device: Device) -> bool:
    """Whether a variant is known to be wrong on a device; checks nothing."""
    return bool(verdicts().get(_key(which, variant, dtype, device)))


def _key(which: str, variant: Variant, dtype: str, device: Device) -> str:
    return " | ".join((device.platform, device.name, device.driver, kernels_digest(), which, variant.name, dtype))


def cache_file() -> Path:
    """Where verdicts are remembered."""
    return disk.folder() / "selfcheck.json"


def _check(which: str, variant: Variant, dtype: str, device: Device) -> str:
    """What is wrong with the variant, with a warning; empty if nothing is."""
    from clconv.check.run import Subject, run  # it makes plans, and plans ask here

    few, *many = Subject.typical(which, variant, dtype)
    outcomes = [run(few, device)]
    if outcomes[0].verdict == "refused":  # it is for many channels
        more = *many, *Subject.widest(which, variant, dtype, device), *Subject.after_keeping(which, variant, dtype)
        outcomes = [run(subject, device) for subject in more]
    outcome = next((outcome for outcome in outcomes if outcome.verdict not in ("ok", "refused")), None)
    if outcome is None:
        return ""
    warnings.warn(
        f"{which} variant {variant.name!r} gives wrong results for {dtype} on {device.label}, driver {device.driver}, and is switched off "
        f"there. Please report it with the output of `clconv check`. {outcome.detail}",
        VariantWarning,
        stacklevel=2,
    )
    return outcome.detail


@cache
def _remembered(file: Path) -> dict[str, str]:
    """What the file holds; a missing or damaged file holds nothing."""
    try:
        verdicts = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return verdicts if isinstance(verdicts, dict) else {}


def verdicts() -> dict[str, str]:
    """What is remembered: key -> what is wrong, empty for a variant that is right."""
    with _lock:
        return dict(_remembered(cache_file()))


def forget() -> None:
    """Drop all verdicts, on disk too."""
    with _lock:
        _remembered.cache_clear()
        cache_file().unlink(missing_ok=True)
