"""A contact centre on one machine: everything around the policy server of one call, for ``demo`` and ``selftest``."""
