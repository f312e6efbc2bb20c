"""The OpenAPI description of the API, by resource; `blocks` has what the others share."""
