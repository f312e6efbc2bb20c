"""The OpenAPI description of the API, by resource. `blocks` holds what the others share."""
