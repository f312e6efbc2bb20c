"""What removal costs writers, and what it gives back."""
