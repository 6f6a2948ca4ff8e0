"""What can go wrong with the store of conferences; no message holds a password, a PIN or a stored value."""


class StoreUnavailableError(Exception):
    """The database cannot be reached, did not answer in time, is full or refused: nothing is known to be written.

    Every write may simply be made again: the store takes the second time for the first.
    """


class StoreRefusalError(StoreUnavailableError):
    """The database answers, and cannot take just this."""


class StoreSetupError(StoreUnavailableError):
    """The database cannot be used until somebody changes the setting, the folder or the database itself."""


class RefusedLinkError(Exception):
    """A link cannot be stored, ever; nothing was written of it."""


class IdempotencyConflictError(RefusedLinkError):
    """An idempotency key came again with another request."""


class JoinedCallError(RefusedLinkError):
    """A link would lead into the room of a call that is none for it."""


class CallOverError(RefusedLinkError):
    """A link would lead into the room of a call whose own link is good no more."""


class CallTakenError(RefusedLinkError):
    """Another link has this call already; sign a new one."""
