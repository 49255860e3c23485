"""The method skill ``gated-rewards``; see ``SKILL.md``."""
