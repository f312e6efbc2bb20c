"""The dead letter queue: a small durable parking place for JSON documents. It knows nothing of audit."""
