"""Algorithms of other libraries, brought in as extras: their updates, everything else of a training ours.

Environments, reward programs, chunks, checkpoints, validation and judge stay what they are for any algorithm. What a
library learns is converted after every update into the flat numpy policy that acts, is judged and is stored.
"""
