"""What the database holds, for people to read."""
