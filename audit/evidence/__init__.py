"""evidence: what leaves the store.

export         `ask` for a bundle, `cancel`, `again`, `fetch`: the request and its states
build          makes the files of a bundle, a part at a time
request        validates what was asked for
manifest       the signed manifest, and the files beside the records
record_lines   sealed records as lines of JSON, in the order of the log
volumes        the volumes of a bundle
resumable_zip  a zip that goes on after a kill
download       a file, or a range of it, as an answer
extract        a few records, signed, in one answer
statements     a signed count of the records that match
proof_bundle   records with their proofs in one file
redaction      the rules of redaction that hold
legal_holds    `place` and `release` holds of a correlation
"""
