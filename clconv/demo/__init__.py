"""The demo: a deformable convolution learns where to look, to undo the warp of a photograph. Needs the extra `demo`."""
