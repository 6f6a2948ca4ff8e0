"""``make attack``: what strangers, customers, agents and nodes could try, against a server of its own on loopback."""
