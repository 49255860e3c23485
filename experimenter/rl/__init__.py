"""The engine: PPO in pure numpy, chunked so that a training survives kill −9 and ends the same."""
