"""Whoever answers the typed questions. The built-in ones are found by entry point, like a stranger's."""
