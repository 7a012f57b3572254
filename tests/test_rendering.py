"""Every kernel of every variant, tile, element type and branch renders strictly; nothing is compiled."""

import re
import warnings
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from planning import kernels
from rendered import rendered

from clconv import source
from clconv.errors import BuildError
from clconv.schedule import Kernel, Value
from clconv.source import data_directory, render

FILES = {path.stem: path.read_text(encoding="utf-8") for path in sorted(data_directory("kernels").glob("*.cl"))}
KERNELS = [name for name, text in FILES.items() if "\n__kernel" in text]

across_kernels = pytest.mark.parametrize("name", KERNELS)


def _blank(text: str) -> str:
    """The source without its comments, lines kept."""
    return re.sub(r"/\*.*?\*/", lambda match: "\n" * match[0].count("\n"), text, flags=re.DOTALL)


@across_kernels
def test_nothing_of_the_template_is_left(name: str) -> None:
    for kernel, what in kernels()[name].items():
        text = rendered(kernel).text
        residue = re.findall(r"\$\{|<%|%>|</%|^\s*%.*|^\s*##.*|\\$", text, re.MULTILINE)
        assert not residue, f"{what}: {residue}"
        assert not (python := re.findall(r"\b(?:None|True|False|UNDEFINED)\b", _blank(text))), f"{what}: {python}"


@across_kernels
def test_lines_are_opencl_c(name: str) -> None:
    """Each begins as a line of C may, brackets are closed, and there are vectors of 2, 3, 4, 8 and 16 only."""
    for kernel, what in kernels()[name].items():
        code = _blank(rendered(kernel).text)
        junk = [line for line in code.splitlines() if line.strip() and not re.match(r"\s*[\w#{}()*/:=&|?+\-]", line)]
        assert not junk, f"{what}: {junk[0]!r}"
        assert all(code.count(left) == code.count(right) for left, right in ("()", "[]", "{}")), what
        lanes = re.findall(r"\b(?:vload|vstore|u?(?:char|short|int|long)|float|double|half)(\d+)\b", code)
        assert set(lanes) <= {"2", "3", "4", "8", "16"}, f"{what}: vectors of {sorted(set(lanes))}"


@across_kernels
def test_the_source_holds_its_kernel(name: str) -> None:
    for kernel, what in kernels()[name].items():
        code = rendered(kernel).code
        assert re.findall(r"__kernel[^;{}(]*(?:\([^;{}]*?\)\)\)\s*)?void (\w+)\(", code) == [name], what
        assert len(rendered(kernel).parameters) == len({parameter.name for parameter in rendered(kernel).parameters}), what


@across_kernels
def test_rendering_again_is_the_same_text(name: str) -> None:
    """Also in a process of another history: with no template in memory, arguments in another order."""
    sample = list(kernels()[name])[::50]
    before = [rendered(kernel).text for kernel in sample]
    source._templates.cache_clear()
    assert [render(Kernel(kernel.name, kernel.arguments[::-1])) for kernel in sample] == before


def _without(kernel: Kernel, argument: str) -> Kernel:
    return Kernel(kernel.name, tuple((key, value) for key, value in kernel.arguments if key != argument))


def _uses(kernel: Kernel, argument: str) -> bool:
    """Whether the template asks for the argument: it fails without it, and says so."""
    try:
        return render(_without(kernel, argument)) != rendered(kernel).text
    except BuildError as error:
        assert argument in str(error) and f"kernels/{kernel.name}.cl" in str(error)
        return True


@across_kernels
def test_arguments_that_are_used_change_the_source(name: str) -> None:
    """What a template asks for is there to be written: else two programs would be compiled for one source."""
    every = kernels()[name]
    for argument in {argument: None for kernel in every for argument, _ in kernel.arguments}:
        found = [kernel for kernel in every if argument in dict(kernel.arguments)]
        if _uses(found[0], argument):
            values = {dict(kernel.arguments)[argument] for kernel in found}
            others = list(_others(found, argument, values))
            changed = (render(_with(kernel, argument, value)) != rendered(kernel).text for kernel, value in others)
            assert not others or any(changed), f"{argument} of {name} changes nothing"


def _others(found: list[Kernel], argument: str, values: set[Value]) -> Iterator[tuple[Kernel, Value]]:
    """Kernels with another value for the argument: one that occurs, or for numbers any."""
    for kernel in found:
        value = dict(kernel.arguments)[argument]
        others = values - {value} or ({value + 1} if type(value) is int else {not value} if type(value) is bool else set())
        yield from ((kernel, other) for other in others)


def _with(kernel: Kernel, argument: str, value: Value) -> Kernel:
    return Kernel(kernel.name, tuple((key, value if key == argument else old) for key, old in kernel.arguments))


def test_every_kernel_is_reached() -> None:
    """A file is a kernel of its own name, which some variant launches, or a piece that others include."""
    assert set(kernels()) == set(KERNELS)
    included = set(re.findall(r'<%(?:include|namespace name="\w+") file="(\w+)\.cl"/>', "".join(FILES.values())))
    assert set(FILES) == set(KERNELS) | included
    assert all("__kernel" not in FILES[name] for name in included)


def test_a_template_that_is_wrong_says_which_and_where(monkeypatch: pytest.MonkeyPatch) -> None:
    texts = {"zero.cl": '<%include file="piece.cl"/>', "piece.cl": "\n\n% if element:\n"}
    source._templates.cache_clear()
    monkeypatch.setattr(source, "_texts", lambda: texts)
    with pytest.raises(BuildError, match=r"kernels/piece\.cl.*line: 3"):
        source._rendered(Kernel.of("zero", {"element": "uint"}))
    source._templates.cache_clear()


def test_templates_are_compiled_by_one_thread_at_a_time() -> None:
    """Mako changes `warnings` while it compiles: two threads at it would leave that behind."""
    before = warnings.showwarning
    for _ in range(6):
        source._templates.cache_clear()
        templates = source._templates()
        with ThreadPoolExecutor(4) as pool:
            list(pool.map(templates.get_template, [f"{name}.cl" for name in FILES] * 2))
    assert warnings.showwarning is before


def test_an_unknown_kernel_says_which() -> None:
    with pytest.raises(BuildError, match=r"kernels/none_such\.cl"):
        render(Kernel("none_such", ()))
