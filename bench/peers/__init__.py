"""What others build for the same event: run by gunicorn with libraries of their own (requirements/peers.txt)."""
