"""What outlives one request: customer links, held conferences, their events and timelines, and the database."""
