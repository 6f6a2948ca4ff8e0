"""Client of the Genesys Cloud API: whose token is this, and is that agent on that conversation?"""
