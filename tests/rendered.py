"""Facts that a rendered kernel states about itself: parameters, local memory, work-group size."""

import re
from dataclasses import dataclass
from functools import cache, cached_property
from math import prod

from clconv.schedule import Kernel
from clconv.source import render

_BYTES = {"char": 1, "uchar": 1, "half": 2, "short": 2, "ushort": 2, "int": 4, "uint": 4, "float": 4, "long": 8, "ulong": 8, "double": 8}
_QUALIFIERS = {"const", "volatile", "restrict", "__global", "*"}


@dataclass(frozen=True)
class Parameter:
    """One parameter of a kernel; `type` has its macros expanded."""

    name: str
    type: str
    buffer: bool
    written: bool


@dataclass(frozen=True)
class Rendered:
    """A rendered kernel. Macros without parameters are expanded as the preprocessor would."""

    kernel: str
    text: str

    @cached_property
    def code(self) -> str:
        """The source without its comments."""
        return re.sub(r"/\*.*?\*/|//[^\n]*", " ", self.text, flags=re.DOTALL)

    @cached_property
    def macros(self) -> dict[str, str]:
        """Macros without parameters."""
        return dict(re.findall(r"^#define (\w+) (.+)$", self.code, re.MULTILINE))

    def expand(self, expression: str) -> str:
        """Replace macros until none is left."""
        while (expanded := re.sub(r"\b[A-Za-z_]\w*\b", lambda match: self.macros.get(match[0], match[0]), expression)) != expression:
            expression = expanded
        return expression.strip()

    def number(self, expression: str) -> int:
        """Value of a constant integer expression."""
        return int(eval(self.expand(expression).replace("/", "//"), {"__builtins__": {}}))

    @cached_property
    def head(self) -> str:
        """From `__kernel` to the end of the parameters."""
        found = re.search(rf"__kernel[^;{{}}]*?\b{self.kernel}\s*\([^{{]*?\)\s*\{{", self.code)
        assert found is not None, f"no kernel {self.kernel} in its source"
        return found[0].rstrip("{ \n")

    @cached_property
    def parameters(self) -> list[Parameter]:
        """The kernel's parameters in order."""
        inside = self.head.rsplit(self.kernel, 1)[1].strip()[1:-1]
        return [self._parameter(text.replace("*", " * ").split()) for text in inside.split(",")]

    def _parameter(self, words: list[str]) -> Parameter:
        element = self.expand(" ".join(word for word in words[:-1] if word not in _QUALIFIERS))
        return Parameter(words[-1], element, "*" in words, "const" not in words)

    @cached_property
    def work_group(self) -> tuple[int, ...] | None:
        """The work-group size that the kernel requires."""
        found = re.search(r"reqd_work_group_size\(([^()]*(?:\([^()]*\)[^()]*)*)\)", self.head)
        return tuple(self.number(size) for size in found[1].split(",")) if found else None

    @cached_property
    def local_memory(self) -> int:
        """Bytes of the kernel's arrays in local memory."""
        total = 0
        for declaration in re.findall(r"__local\s+([^;()]*\[[^;]*);", self.code):
            element, arrays = declaration.split(None, 1)
            for dimensions in re.findall(r"\w+((?:\s*\[[^\]]*\])+)", arrays):
                total += self._size(element) * prod(self.number(size) for size in re.findall(r"\[([^\]]*)\]", dimensions))
        return total

    def _size(self, element: str) -> int:
        found = re.fullmatch(r"([a-z]+)(\d*)", self.expand(element))
        assert found is not None, f"{self.kernel}: unknown type {element} in local memory"
        lanes = int(found[2] or 1)
        return _BYTES[found[1]] * (4 if lanes == 3 else lanes)  # a vector of 3 takes the room of 4


@cache
def rendered(kernel: Kernel) -> Rendered:
    """The kernel's source, rendered once."""
    return Rendered(kernel.name, render(kernel))
