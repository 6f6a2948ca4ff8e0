"""External policy server for Pexip Infinity: routes a contact centre's video calls by YAML rules."""
