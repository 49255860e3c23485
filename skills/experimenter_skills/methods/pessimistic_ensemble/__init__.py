"""The method skill ``pessimistic-ensemble``; see ``SKILL.md``."""
