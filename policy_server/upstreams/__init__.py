"""The client of other policy servers: asks them what rules forward, in time or not at all."""
