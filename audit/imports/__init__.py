"""imports: events of other systems, as events of this store.

paths      how a mapping names a member of a foreign event
values     how a value of theirs becomes one of ours
fitting    what a value becomes in a field of ours
rules      how a field of ours is filled from members of theirs
mapping    a mapping: what its file says, read and checked
catalogue  `find` the mappings that there are: those of this package, and the operator's own
convert    `convert` a foreign event: the event as it would be recorded, and what filled it
identity   the id that an event has here, made of the id that it has there
item       a foreign event as it was read
read       the events of a file or a body, one after the other
originals  whether a record was made of the same foreign event
known      which events are here already, whatever mapping made them
take       `take` foreign events: convert, record or park them; keep what cannot be converted as it came
converters processes that convert the portions of an import, while it reads on and records
place      how far a file was imported, so that the next run goes on from there
run        `run` an import of files, in portions
reading    how files and bodies are read: one event after the other, in bounded memory
sources    what is peculiar to a format: CloudEvents, OTLP, syslog, CSV
mappings   the mappings, one file a source
"""
