"""reports: what the store shows of a period, as of one checkpoint, for chosen sets of controls.

build      a report from its request to its digest in the log
snapshot   what a report is computed from
sections/  the sections, in their order
figures    what a section is made of
controls   what the figures say of each control of a pack
packs      sets of controls, as data
live       how things stand beside it, not hashed
render     HTML, PDF and JSON; `charts` draws
period     the periods that people report on
"""
