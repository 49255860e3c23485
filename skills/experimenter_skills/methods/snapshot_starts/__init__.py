"""The method skill ``snapshot-starts``; see ``SKILL.md``."""
