"""`clconv cache`: what the library remembers on disk."""

import json
import shutil
from pathlib import Path

import click
import platformdirs

from clconv import selfcheck, source, tuned
from clconv.bench import ceilings


@click.group()
def cache() -> None:
    """Show or clear what is remembered between runs: self-check verdicts, ceilings, rendered and compiled kernels."""


@cache.command("show")
@click.option("--json", "as_json", is_flag=True, help="Print as JSON.")
def show(as_json: bool) -> None:
    """Say where the caches are, how large, and which variants are switched off."""
    facts = {
        "selfcheck": str(selfcheck.cache_file()),
        "verdicts": selfcheck.verdicts(),
        "ceilings": str(ceilings.file()),
        "tuned": str(tuned.user_file()),
        "sources": str(source.folder()),
        "sources_bytes": _size(source.folder()),
        "binaries": str(_binaries()),
        "binaries_bytes": _size(_binaries()),
    }
    if as_json:
        click.echo(json.dumps(facts, indent=1))
        return
    click.echo(f"self-check verdicts: {facts['selfcheck']}")
    for key, verdict in selfcheck.verdicts().items():
        click.echo(f"  {'switched off' if verdict else 'right'}: {key}")
    click.echo(f"ceilings of `clconv bench`: {facts['ceilings']}")
    click.echo(f"tiles of `clconv tune`, which `clear` keeps: {facts['tuned']}")
    click.echo(f"rendered kernels, and PoCL's binaries of them: {facts['sources']}, {facts['sources_bytes']} bytes")
    click.echo(f"compiled kernels (pyopencl's cache, shared with other programs): {facts['binaries']}, {facts['binaries_bytes']} bytes")


@cache.command("clear")
@click.option("--binaries", is_flag=True, help="Also pyopencl's compiled kernels, other programs' among them.")
def clear(binaries: bool) -> None:
    """Forget the self-check's verdicts, the measured ceilings and the rendered kernels with PoCL's binaries."""
    selfcheck.forget()
    ceilings.file().unlink(missing_ok=True)
    if sources := source.folder():
        shutil.rmtree(sources, ignore_errors=True)
    if binaries:
        shutil.rmtree(_binaries(), ignore_errors=True)
    click.echo("cleared")


def _size(folder: Path | None) -> int:
    """Bytes of the files in it."""
    return 0 if folder is None else sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())


def _binaries() -> Path:
    """Where pyopencl keeps compiled programs: it asks the same library."""
    return Path(platformdirs.user_cache_dir("pyopencl", "pyopencl"))
