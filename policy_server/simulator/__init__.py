"""A Conferencing Node that is not there: asks, judges, plays calls."""
