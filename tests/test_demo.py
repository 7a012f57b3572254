"""The demo: its geometry and gradients, and a tiny run from photograph to picture."""

import json
import subprocess
import sys
from pathlib import Path

import matplotlib.image
import numpy as np
import pytest
from click.testing import CliRunner

from clconv import Device
from clconv.cli.group import commands
from clconv.demo.alignment import Step, align
from clconv.demo.experiment import run
from clconv.demo.level import Level
from clconv.demo.scene import SineWarp, make_scene, photograph, pixel_centres
from clconv.demo.spline import SplineOffsets, roughness


@pytest.mark.parametrize("seed", range(5))
def test_warp_is_undone(seed: int) -> None:
    warp, points = SineWarp.random(seed), pixel_centres(50)
    back = warp.undo(points)
    assert np.abs(back).max() > 0.02
    assert np.abs(back + warp(points + back)).max() < 1e-9


def test_warp_leaves_the_border() -> None:
    along = np.linspace(0, 1, 9)
    for y in (0.0, 1.0):
        assert np.abs(SineWarp.random(0)(np.stack([np.full(9, y), along]))).max() < 1e-12


def test_photograph_is_a_photograph() -> None:
    picture = photograph(80)
    assert picture.shape == (3, 80, 80)
    assert picture.dtype == np.float32
    assert 0 <= picture.min() < 0.1 and 0.9 < picture.max() <= 1


def test_scene_agrees_with_its_displacement() -> None:
    """The warped picture, read where the displacement says, is the photograph but for interpolation."""
    scene = make_scene(96, seed=1)
    y, x = np.rint(np.indices((96, 96)) + scene.displacement).astype(int).clip(0, 95)
    found = scene.warped[:, y, x]
    assert np.abs(found - scene.photograph).mean() < 0.4 * np.abs(scene.warped - scene.photograph).mean()


def test_spline_reproduces_a_constant() -> None:
    spline = SplineOffsets.of(height=20, width=30, kernel=3, points=8)
    offset = spline.offset(np.full((2, 8, 8), 0.1, np.float32)).reshape(9, 2, 20, 30)
    np.testing.assert_allclose(offset[:, 0], 2, rtol=1e-5)
    np.testing.assert_allclose(offset[:, 1], 3, rtol=1e-5)


def test_neighbouring_taps_share_the_field() -> None:
    points = np.random.default_rng(0).standard_normal((2, 7, 7)).astype(np.float32)
    offset = SplineOffsets.of(height=12, width=10, kernel=3, points=7).offset(points).reshape(3, 3, 2, 12, 10)
    np.testing.assert_array_equal(offset[0, 0, :, 1:, 1:], offset[1, 1, :, :-1, :-1])
    np.testing.assert_array_equal(offset[2, 1, :, :-1], offset[1, 1, :, 1:])


def test_spline_gradient_is_the_transpose() -> None:
    random = np.random.default_rng(0)
    spline = SplineOffsets.of(height=17, width=23, kernel=3, points=6)
    points = random.standard_normal((2, 6, 6)).astype(np.float32)
    grad = random.standard_normal((1, 18, 17, 23)).astype(np.float32)
    forward = np.vdot(spline.offset(points).astype(float), grad)
    backward = np.vdot(points.astype(float), spline.gradient(grad))
    assert forward == pytest.approx(backward, rel=1e-4)


def test_roughness_of_a_parabola_is_none() -> None:
    along = np.arange(9.0)
    parabola = np.stack([along[:, None] ** 2 + 0 * along, 3 * along[:, None] - along**2])
    cost, slope = roughness(parabola)
    assert cost == pytest.approx(0, abs=1e-9)
    np.testing.assert_allclose(slope, 0, atol=1e-9)


def test_roughness_gradient() -> None:
    random = np.random.default_rng(0)
    points, direction = random.standard_normal((2, 2, 7, 7))
    _, slope = roughness(points)
    difference = (roughness(points + 1e-5 * direction)[0] - roughness(points - 1e-5 * direction)[0]) / 2e-5
    assert difference == pytest.approx(np.vdot(slope, direction), rel=1e-6)


def test_error_gradient(device: Device) -> None:
    """Along its own gradient the error falls as the gradient says."""
    scene = make_scene(64, seed=0)
    level = Level.of(scene.warped, scene.photograph, 64, 3, device)
    parameters = 0.3 * np.random.default_rng(0).standard_normal(level.start.size)
    _, slope = level.error(parameters)
    step = 1e-3 * slope / np.linalg.norm(slope)
    difference = level.error(parameters + step)[0] - level.error(parameters - step)[0]
    assert difference == pytest.approx(2 * np.vdot(slope, step), rel=0.03)


def test_align_takes_any_channels_and_sides(device: Device) -> None:
    """Five channels, wider than high: a picture shifted by two pixels is found again."""
    picture = photograph(96)
    target = np.concatenate([picture[:, :64], 1 - picture[:2, 32:]])
    found = align(np.roll(target, 2, axis=2), target, 40, device=device)
    assert found.output.shape == (5, 64, 96)
    dy, dx = found.displacement[:, 8:-8, 8:-8]
    assert np.median(dx) == pytest.approx(2, abs=0.2)
    assert np.median(dy) == pytest.approx(0, abs=0.2)


def test_demo_recovers_the_photograph(device: Device) -> None:
    seen: list[Step] = []
    result = run(size=64, steps=30, seed=0, device=device, on_step=seen.append)
    before, after = result.psnr
    lost, found = result.end_point_error
    assert after > before + 8
    assert found < lost / 3
    assert tuple(seen) == result.alignment.steps
    assert seen[0].psnr == pytest.approx(before, abs=0.01)
    assert seen[-1].psnr == pytest.approx(after, abs=0.01)


def test_command_writes_the_picture(tmp_path: Path) -> None:
    path = tmp_path / "picture.png"
    result = CliRunner().invoke(commands, ["demo", "--size", "64", "--steps", "12", "--output", str(path)], env={"COLUMNS": "200"})
    assert result.exit_code == 0, result.output
    assert "PSNR" in result.output and "end-point error" in result.output and str(path) in result.output
    assert matplotlib.image.imread(path).shape == (1530, 2400, 4)
    assert 2**18 < path.stat().st_size < 2**23


def test_training_study_learns(device: Device, tmp_path: Path) -> None:
    """As a user runs it; the second time from the pictures that the first kept."""
    script, report = Path(__file__).parents[1] / "bench" / "training.py", tmp_path / "training.json"
    options = ["--size", "64", "--channels", "8", "--steps", "31", "--device", device.index, "--scene", str(tmp_path / "scene.npz")]
    for more in (["--plot", str(tmp_path / "training.png")], ["--json", str(report)]):
        subprocess.run([sys.executable, str(script), *options, *more], check=True, capture_output=True)
    errors = json.loads(report.read_text(encoding="utf-8"))["runs"][0]["errors"]
    assert len(errors) == 3 and errors[2] < errors[1] < errors[0]
    assert matplotlib.image.imread(tmp_path / "training.png").ndim == 3
