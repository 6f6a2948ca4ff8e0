"""Rule sets and their one evaluator: pure; time and randomness are arguments."""
