"""Containment of generated code: static check, kernel limits, the worker that runs it and the supervisor outside."""
