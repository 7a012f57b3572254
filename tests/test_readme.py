"""What the README says is true: its examples run, and its tables name what there is."""

import re
from pathlib import Path
from typing import Any

import pytest

from clconv.convention import CONVENTIONS

README = (Path(__file__).parent.parent / "README.md").read_text(encoding="utf-8")
EXAMPLES = re.findall(r"```python\n(.*?)```", README, re.DOTALL)


@pytest.mark.parametrize("number", range(len(EXAMPLES)))
def test_example_runs(number: int) -> None:
    names: dict[str, Any] = {}
    exec(EXAMPLES[number], names)
    shape = re.search(r"# (\(\d+, \d+, \d+, \d+\))", EXAMPLES[number])
    if shape and "output" in names:
        assert str(names["output"].shape) == shape[1]


def test_there_are_examples_and_two_commands_first() -> None:
    assert len(EXAMPLES) >= 3
    blocks = re.findall(r"```bash\n(.*?)```", README, re.DOTALL)
    assert all(len(block.strip().splitlines()) == 1 for block in blocks[:2])
    assert "clconv demo" in blocks[0]
    assert "pytest" in blocks[1]


def test_every_convention_is_in_the_table() -> None:
    assert all(f'| `"{name}"`' in README for name in CONVENTIONS)
