"""YAML text to a rule set, or to every problem in it."""
