"""Makes bench/suites/flow.npy, the flow field behind `--offsets real`: the displacements that `clconv demo` learns, every second pixel.

python bench/make_flow.py
"""

from pathlib import Path

import numpy as np

from clconv.demo.experiment import run
from clconv.device import resolve

if __name__ == "__main__":
    result = run(size=256, steps=160, seed=0, device=resolve())
    flow = result.alignment.displacement[:, ::2, ::2].astype(np.float16)
    np.save(Path(__file__).parent / "suites" / "flow.npy", flow)
    before, after = result.psnr
    print(f"{flow.shape}, {np.abs(flow).max():.1f} pixels at most; PSNR {before:.1f} -> {after:.1f} dB on {result.device.label}")
