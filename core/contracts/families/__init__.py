"""The model families as data: one file a group, each with a tuple ``FAMILIES``."""
