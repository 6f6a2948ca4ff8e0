"""A believable afternoon of a bank, for pictures of the admin's pages."""
