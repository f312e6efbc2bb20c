"""`make compose-test`: docker-compose.yml for real: images built, containers killed, a browser at the door."""
