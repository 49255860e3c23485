"""Environments: cards, families, the observation pipeline, features and the vector environment."""
