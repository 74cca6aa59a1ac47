"""Statistics over what the database holds."""
