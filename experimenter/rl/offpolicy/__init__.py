"""Algorithms that learn from a replay buffer: SAC for continuous actions, DQN for discrete ones."""
