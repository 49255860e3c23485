"""Policies as data: what a training leaves behind and the judge rebuilds, numpy only."""
