"""What a Conferencing Node sends and what it accepts: pure data and checks."""
