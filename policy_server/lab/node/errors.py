"""What a client of the node asked for and is not given."""

from typing import Final


class RefusedError(Exception):
    """Says why, in Pexip's words."""


class NotFoundError(RefusedError):
    """It is not there."""


class PinNeededError(RefusedError):
    """A PIN must be entered; ``of_guests`` tells whether Guests need one, too."""

    def __init__(self, *, of_guests: bool) -> None:
        super().__init__("a PIN is required")
        self.of_guests: Final = of_guests
