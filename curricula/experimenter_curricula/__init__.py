"""Curricula: strategies that decide what to try next."""
