"""`make compose-test`: docker-compose.yml for real, with its images built, its containers killed, and a browser at its door."""
