"""Pages of the queue, the quarantine and outages."""
