"""The log's key in a token: a hardware security module, or whatever else speaks PKCS#11.

`address.py` reads where the key is (a `pkcs11:` URI), `signer.py` has it sign, `holder.py` is the process that has the
token open.
"""
