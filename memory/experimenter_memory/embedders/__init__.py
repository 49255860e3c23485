"""Embedders: plug-ins that turn texts into vectors, one file each. None of them downloads a model."""
