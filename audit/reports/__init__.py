"""reports: what the store shows of a period, as of one checkpoint, for chosen sets of controls.

build      a report from its request to its digest in the log: `request`, `resume`, `repeat`, `cancel`
again      what differs where it was made again
snapshot   what a report is computed from: the period, the checkpoint, the viewer's scopes
sections/  the sections, in their order
figures    what a section is made of
controls   what the figures say of each control of a pack
packs      sets of controls, as data
render     HTML, PDF and JSON, with the charts
"""
