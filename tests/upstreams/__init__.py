"""Tests of what is forwarded, over real HTTP against another policy server that does as a test says."""
