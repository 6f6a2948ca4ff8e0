"""What clients of other systems have in common: one request over HTTP, and when to leave a system alone for a while."""
