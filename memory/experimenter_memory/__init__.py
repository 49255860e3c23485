"""Memories: plug-ins that find earlier lessons. The lessons themselves stay in the workspace."""
