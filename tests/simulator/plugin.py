"""Pytest plugin inside oclgrind: a test fails with what oclgrind reported while it ran; oclgrind itself exits with 0 whatever it finds."""

from collections.abc import Iterator
from typing import Any

import pyopencl as cl
import pytest


class KeptBuffer(cl.Buffer):
    """A buffer that is never released: oclgrind 21.10 takes a larger one in its place for uninitialised beyond the old one's end."""

    kept: list[cl.Buffer] = []  # noqa: RUF012  # grows on purpose

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.kept.append(self)


cl.Buffer = KeptBuffer  # type: ignore[misc]  # whatever makes buffers finds it here


@pytest.fixture(autouse=True)
def _nothing_reported(capfd: pytest.CaptureFixture[str]) -> Iterator[None]:
    """Fail on anything that the simulator wrote to the process's standard error. Its --log is buffered, so late."""
    capfd.readouterr()
    yield
    if report := capfd.readouterr().err.strip():
        pytest.fail(f"oclgrind reported:\n{report}", pytrace=False)
