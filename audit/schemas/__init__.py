"""schemas: JSON Schemas of event types, for `event_data`; optional.

language  which schemas are taken, so that a check is bounded; and the check itself
register  `register` another revision; recorded first
in_force  what holds now: `check` an event as it comes in
"""
