"""The search behind `clconv tune`: which candidates, in which order, and the process in which each is tried."""
