"""Algorithms of Stable-Baselines3 and sb3-contrib: their updates, in this engine's trainings. Extra ``sb3``."""
