"""What recording reaches."""
