"""What the queue holds and how fast it is emptied."""
