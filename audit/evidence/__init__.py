"""evidence: what leaves the store.

export         `request`, `cancel`, `reopen`, `fetch` a bundle; `expire` old ones
build          `resume`: make the files of a bundle, a part at a time
request        checks what was asked for, and who asked
manifest       the signed manifest, and the files beside the records
record_lines   sealed records as lines of JSON, in the order of the log
volumes        the volumes of a bundle: records, proof, CSV
resumable_zip  a zip that can be resumed after a kill
download       a file, or a range of it, as an HTTP response
extract        a few records, signed, in one answer
statements     a signed count of the records that match a query
proof_bundle   records with their proofs in one file
redaction      the rules of redaction in force
"""
