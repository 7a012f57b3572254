"""What the tests of tuning share: data of their own, a device and a layer, and trials of them."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from planning import DEVICES, LAYERS

from clconv import Device, tuned, tuning
from clconv.bench.layers import Layer
from clconv.cli.group import commands
from clconv.schedule import Request, Schedule
from clconv.tuned import Choice, Key, Machine, Trial

FAKE = DEVICES["avx512-cpu"]
REQUEST = Request(LAYERS["resnet"])
SLOW, ODD = Choice("plain", "item_out=2"), Choice("plain", "item_out=3")
TINY = Layer("tiny", (1, 4, 8, 9), (6, 4, 3, 3), padding=1)


@pytest.fixture
def data_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    monkeypatch.setattr(tuned, "DEFAULTS", tmp_path / "defaults")
    monkeypatch.delenv("CLCONV_TUNED", raising=False)
    (tmp_path / "defaults").mkdir()
    tuned.forget()
    yield
    tuned.forget()


def invoke(*arguments: str) -> Result:
    return CliRunner().invoke(commands, ["tune", *arguments], env={"COLUMNS": "200"})


def trial_of(
    choice: Choice, seconds: float | None = 1e-3, device: Device = FAKE, request: Request = REQUEST, which: str = "forward"
) -> Trial:
    verdict = "failed" if seconds is None else "ok"
    return Trial(Machine.of(device), Key.of(which, request), choice, verdict, seconds, layer="resnet", kernels="digest")


def chosen(schedule: Schedule) -> Choice:
    return Choice(schedule.variant, str(schedule.tile))


def choose(request: Request = REQUEST, device: Device = FAKE, **options: Any) -> Choice:
    return chosen(tuning.choose("forward", request, device, **options))


def default(request: Request = REQUEST, device: Device = FAKE) -> Choice:
    variant, tile = next(tuning.candidates("forward", request, device))
    return Choice(variant.name, str(tile))
