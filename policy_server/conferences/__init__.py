"""What outlives one request: customer links, pinned conferences, their events and timelines, and the database."""
