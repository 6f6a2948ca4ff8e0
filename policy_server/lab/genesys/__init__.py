"""Genesys Cloud that is not there: agents who sign in, calls that ring at them, and the desktop that they look at."""
