"""What the client costs the service that calls it."""
