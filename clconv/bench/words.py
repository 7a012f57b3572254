"""How keys and numbers read, the same in tables, plots and comparisons."""

from collections.abc import Iterable, Sequence
from math import floor, log10
from textwrap import shorten

from clconv.bench.record import Key, Row

SETTINGS = ("dtype", "precision", "deterministic", "offsets", "fixed_weight")
"""Fields of a key that say how the work was to be done."""

_LONGEST_REASON = 200


def digits(value: float, significant: int = 3) -> str:
    """A number with three significant digits, never as a power of ten: 0.0123, 1.23, 12.3, 1230."""
    rounded = float(f"{value:.{significant - 1}e}")
    decimals = significant - 1 - floor(log10(abs(rounded))) if rounded else 0
    return f"{rounded:.{max(0, decimals)}f}"


def milliseconds(seconds: float) -> str:
    """Seconds as milliseconds, without the unit."""
    return digits(1e3 * seconds)


def size(number: int) -> str:
    """Bytes in the unit that suits them."""
    for power, unit in ((30, "GiB"), (20, "MiB"), (10, "KiB")):
        if number >= 1 << power:
            return f"{digits(number / (1 << power))} {unit}"
    return f"{number} B"


def system(key: Key) -> str:
    """The system, with the variant that was asked for."""
    return f"{key.system} {key.variant}".rstrip()


def setting(key: Key, name: str) -> str:
    """What a key says of one of the SETTINGS: "" where it is the usual."""
    value = getattr(key, name)
    if isinstance(value, bool):
        return name.replace("_", " ") if value else ""
    return str(value)


def settings(key: Key, names: Iterable[str] = SETTINGS) -> str:
    """Several of the SETTINGS: "float32, tf32, deterministic, random offsets, fixed weight"."""
    words = ((name, setting(key, name)) for name in names)
    return ", ".join(f"{word} offsets" if name == "offsets" else word for name, word in words if word)


def varying(keys: Iterable[Key]) -> tuple[str, ...]:
    """Which of the SETTINGS are not the same for all keys."""
    listed = list(keys)
    return tuple(name for name in SETTINGS if len({getattr(key, name) for key in listed}) > 1)


def sentence(key: Key) -> str:
    """All of a key in one line."""
    where = f" on {key.device}" if key.device else ""
    return f"{key.layer} {key.which}, {settings(key)}, {system(key)}{where}"


def outcome(row: Row) -> str:
    """Why a row has no time: its verdict, and the reason on one line; wrong results in capitals."""
    verdict = "WRONG" if row.verdict == "wrong" else row.verdict
    return f"{verdict}: {shorten(row.reason, _LONGEST_REASON, placeholder=' ...')}" if row.reason else verdict


def described(keys: Sequence[Key]) -> tuple[str, dict[Key, str]]:
    """What keys have in common of device, settings and variant, and what each has besides."""
    parts = {key: (key.device, settings(key), f"variant {key.variant}" if key.variant else "") for key in keys}
    common = [len(set(column)) == 1 for column in zip(*parts.values(), strict=True)]
    own = {key: ", ".join(word for word, same in zip(words, common, strict=True) if word and not same) for key, words in parts.items()}
    shared = [word for word, same in zip(next(iter(parts.values()), ()), common, strict=True) if word and same]
    return ", ".join(shared), own
