"""The method skill ``potential-shaping``; see ``SKILL.md``."""
