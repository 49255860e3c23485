"""Method skills that ship with the experimenter: a folder each, with its hook and its ``SKILL.md``."""
