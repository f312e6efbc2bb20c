"""The Django project: settings, URLs, and the commands that run it on one machine."""
