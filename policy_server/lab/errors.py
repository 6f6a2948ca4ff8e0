"""What keeps the lab from starting."""


class LabError(Exception):
    """Says what to do."""
