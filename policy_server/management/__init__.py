"""The client of Pexip's Management API: who is in a conference, and commands that call and disconnect."""
