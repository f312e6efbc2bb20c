"""Django's PostgreSQL backend with a deadline on the client's side: see base.py."""
