"""Tests of the client of Genesys Cloud, over real HTTP against a stand-in of its API."""
