"""A Conferencing Node that is not there, with media, event sink and client API."""
