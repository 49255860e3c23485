"""Skill libraries: plug-ins that keep what a run learned in a form that a person can read, copy and use again."""
