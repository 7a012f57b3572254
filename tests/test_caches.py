"""What is kept between calls: each key holds all that the value depends on, and nothing more."""

import hashlib
import shutil
import threading
from collections import OrderedDict
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pyopencl as cl
import pytest
from test_cli import run_python

from clconv import Device, Plan, binaries, disk, program, selfcheck, source
from clconv.arrays import NumpyArray
from clconv.device import POCL
from clconv.queues import queue_for
from clconv.schedule import Kernel, Variant, storage
from clconv.tuning import PASSES

_PROGRAM: Any = cl.Program
REDUCE = Kernel.of("reduce", {"parts": 3, **storage("float32", False)})


@pytest.fixture(autouse=True)
def _no_kernels_yet(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(program, "_entries", OrderedDict())


@pytest.fixture
def built(monkeypatch: pytest.MonkeyPatch) -> list[Kernel]:
    """The kernels that are compiled, in order."""
    kernels: list[Kernel] = []

    def render(kernel: Kernel) -> str:
        kernels.append(kernel)
        return source.render(kernel)

    monkeypatch.setattr(program, "render", render)
    return kernels


def test_a_kernel_is_compiled_once_for_its_arguments(device: Device, built: list[Kernel]) -> None:
    queue = queue_for(device, None)
    same = Kernel.of("reduce", dict(reversed(REDUCE.arguments)))
    assert program.compiled(queue.context, queue.device, REDUCE) is program.compiled(queue.context, queue.device, same)
    assert built == [REDUCE]


@pytest.mark.parametrize("other", [{"parts": 4}, {"dtype": "float16"}, {"wide": True}], ids=str)
def test_other_arguments_are_another_kernel(other: dict[str, int | str | bool], device: Device, built: list[Kernel]) -> None:
    queue = queue_for(device, None)
    kernel = Kernel.of("reduce", dict(REDUCE.arguments) | other)
    assert program.compiled(queue.context, queue.device, REDUCE) is not program.compiled(queue.context, queue.device, kernel)
    assert built == [REDUCE, kernel]


def test_other_options_are_another_kernel(device: Device, built: list[Kernel]) -> None:
    queue = queue_for(device, None)
    kernel = replace(REDUCE, options=("-cl-mad-enable",))
    assert program.compiled(queue.context, queue.device, REDUCE) is not program.compiled(queue.context, queue.device, kernel)


def test_another_context_is_another_kernel(device: Device, built: list[Kernel]) -> None:
    queue = queue_for(device, None)
    context = cl.Context([queue.device])
    assert program.compiled(queue.context, queue.device, REDUCE) is not program.compiled(context, queue.device, REDUCE)
    assert built == [REDUCE, REDUCE]


def test_the_least_recently_used_kernel_goes(device: Device, built: list[Kernel], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(program, "CAPACITY", 2)
    queue = queue_for(device, None)
    first, second, third = (Kernel.of("reduce", dict(REDUCE.arguments) | {"parts": parts}) for parts in (1, 2, 3))
    for kernel in (first, second, first, third, first, second):
        program.compiled(queue.context, queue.device, kernel)
    assert built == [first, second, third, second]


def test_sizes_that_are_passed_at_run_time_share_kernels(device: Device, built: list[Kernel], monkeypatch: pytest.MonkeyPatch) -> None:
    """Batch and image size are arguments of the kernels, not of the templates."""
    monkeypatch.setenv("CLCONV_SELFCHECK", "0")  # whose kernels are built too
    weight = np.ones((4, 3, 3, 3), np.float32)
    for batch, height, width in ((1, 9, 9), (2, 8, 30)):
        plan = Plan((batch, 3, height, width), weight.shape, offset_groups=None, device=device)
        plan.forward(np.ones((batch, 3, height, width), np.float32), weight=weight)
    names = [kernel.name for kernel in built]
    assert len(names) == len(set(names))


def _verdict_key(device: Device, which: str = "forward", dtype: str = "float32") -> str:
    return selfcheck._key(which, PASSES[which][0], dtype, device)


def test_a_verdict_holds_for_one_driver_and_type(device: Device, monkeypatch: pytest.MonkeyPatch) -> None:
    others = [
        _verdict_key(device),
        _verdict_key(replace(device, driver="another")),
        _verdict_key(replace(device, name="another")),
        _verdict_key(replace(device, platform="another")),
        _verdict_key(device, which="backward_weight"),
        _verdict_key(device, dtype="float16"),
    ]
    monkeypatch.setattr(selfcheck, "kernels_digest", lambda: "changed kernels")
    others.append(_verdict_key(device))
    assert len(set(others)) == len(others)


def test_a_verdict_is_asked_for_once(device: Device, monkeypatch: pytest.MonkeyPatch, tmp_path: object) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.delenv("CLCONV_SELFCHECK", raising=False)
    asked: list[str] = []

    def right(which: str, variant: Variant, dtype: str, device: Device) -> str:
        asked.append(dtype)
        return ""

    monkeypatch.setattr(selfcheck, "_check", right)
    variant = PASSES["forward"][0]
    for dtype in ("float32", "float16", "float32"):
        assert selfcheck.trusted("forward", variant, dtype, device)
    selfcheck._remembered.cache_clear()  # another process reads the file
    assert selfcheck.trusted("forward", variant, "float32", device)
    assert asked == ["float32", "float16"]
    selfcheck._remembered.cache_clear()


def test_a_kernel_is_rendered_once(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    text, rendered = source.render(REDUCE), source._rendered
    monkeypatch.setattr(source, "_rendered", lambda kernel: "rendered again")
    assert source.render(REDUCE) == text == rendered(REDUCE)
    assert source.render(Kernel.of("zero", {"element": "uchar"})) == "rendered again"
    monkeypatch.setattr(source, "kernels_digest", lambda: "changed kernels")
    assert source.render(REDUCE) == "rendered again"
    assert (tmp_path / "clconv" / "sources" / "changed kernels").exists()


def test_templates_that_change_while_a_process_runs_are_the_next_ones(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """What is rendered is of the templates that the digest says, which names its place."""
    changed = tmp_path / "kernels"
    shutil.copytree(source.data_directory("kernels"), changed)
    monkeypatch.setattr(source, "data_directory", lambda name: changed)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    asked = source._texts, source.kernels_digest, source._templates
    try:
        for ask in asked:
            ask.cache_clear()
        before = source.kernels_digest()
        (changed / "reduce.cl").write_text("nothing")
        assert source.render(REDUCE) != "nothing" and source.kernels_digest() == before
        for ask in asked:
            ask.cache_clear()
        assert source.render(REDUCE) == "nothing" and source.kernels_digest() != before
    finally:
        for ask in asked:
            ask.cache_clear()


def test_half_a_source_is_never_read(tmp_path: Path) -> None:
    file, texts = tmp_path / "file", ["a" * 100_000, "b" * 100_000]
    disk.remember(file, texts[0])

    def write(text: str) -> None:
        for _ in range(200):
            disk.remember(file, text)

    threads = [threading.Thread(target=write, args=(text,)) for text in texts]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        assert file.read_text() in texts
    assert list(tmp_path.iterdir()) == [file]


def test_no_place_for_rendered_kernels(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    assert "reduce" in source.render(REDUCE)


def test_no_place_for_any_cache(tmp_path: Path) -> None:
    """Pyopencl's own caches would end the process."""
    (tmp_path / "file").write_text("in the way")
    code = "import numpy as np, clconv; print(clconv.conv2d(np.ones((1, 4, 8, 8), 'f4'), np.ones((4, 4, 3, 3), 'f4')).sum())"
    result = run_python(code, XDG_CACHE_HOME=str(tmp_path / "file" / "below"), HOME="/dev/null", CLCONV_SELFCHECK="0")
    assert (result.returncode, result.stdout.strip()) == (0, "5184.0"), result.stderr


def test_a_cache_that_fails_while_building_is_done_without(device: Device, monkeypatch: pytest.MonkeyPatch) -> None:
    """As pyopencl's does where another process holds its lock for too long."""
    monkeypatch.setattr(cl, "_PYOPENCL_NO_CACHE", False)

    monkeypatch.setattr(binaries, "_have_a_place", lambda: True)

    def build(*_: Any) -> str:
        if not cl._PYOPENCL_NO_CACHE:
            raise KeyError("PYOPENCL_CACHE_FAILURE_FATAL")
        return "built"

    monkeypatch.setattr(cl, "Program", lambda *_: SimpleNamespace(build=build))
    queue = queue_for(device, None)
    assert binaries._built(queue.context, queue.device, "", []) == "built"


@pytest.fixture
def compiled_sources(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The sources that a driver is given; binaries aren't among them."""
    sources: list[str] = []

    def program_of(*what: Any) -> Any:
        sources.extend(text for text in what if isinstance(text, str))
        return _PROGRAM(*what)

    monkeypatch.setenv("CLCONV_SELFCHECK", "0")
    monkeypatch.delenv("CLCONV_BINARIES", raising=False)
    monkeypatch.setattr("clconv.binaries.cl.Program", program_of)
    return sources


def _output(device: Device) -> NumpyArray:
    """A convolution's, its kernels built anew."""
    program._entries.clear()
    input, weight = (np.random.default_rng(seed).standard_normal((1, 3, 5, 5), dtype=np.float32) for seed in range(2))
    output: NumpyArray = Plan(input.shape, weight.shape, offset_groups=None, device=device).forward(input, weight=weight)
    return output


def test_binaries_are_kept_of_a_driver_that_is_slow_to_find_its_own(
    device: Device, compiled_sources: list[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    first, number = _output(device), len(compiled_sources)
    kept = sorted(tmp_path.glob("clconv/sources/*/*.bin"))
    assert number >= 1
    assert len(kept) == (number if device.platform == POCL else 0)
    compiled_sources.clear()
    np.testing.assert_array_equal(_output(device), first)
    assert len(compiled_sources) == number - len(kept)


@pytest.mark.parametrize("damage", ["empty", "half of it", "one bit", "another driver's"])
def test_a_damaged_binary_is_never_run(
    damage: str, device: Device, compiled_sources: list[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    if device.platform != POCL:
        pytest.skip("its binaries aren't kept")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    first, number = _output(device), len(compiled_sources)
    whole = {file: file.read_bytes() for file in tmp_path.glob("clconv/sources/*/*.bin")}
    for file, content in whole.items():
        foreign = b"a binary of another driver"
        changed = {
            "empty": b"",
            "half of it": content[: len(content) // 2],
            "one bit": content[:-1] + bytes([content[-1] ^ 1]),
            "another driver's": hashlib.sha256(foreign).digest() + foreign,
        }
        file.write_bytes(changed[damage])
    compiled_sources.clear()
    np.testing.assert_array_equal(_output(device), first)
    assert len(compiled_sources) == number == len(whole)
    compiled_sources.clear()
    np.testing.assert_array_equal(_output(device), first)  # by binaries that took the damaged ones' places
    assert not compiled_sources
