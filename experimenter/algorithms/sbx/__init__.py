"""Algorithms of SBX, Stable-Baselines3 in JAX: a whole stretch of updates is one compiled call. Extra ``sbx``."""
