"""upstream_form: what clients of Kubernaut's Data Storage read of the answer of `GET export`, beside our own form.

They know of no log: an event is valid where it is as it was sealed, or, not sealed yet, as it was accepted.
"""

import base64
import hashlib
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import rfc8785
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from django.conf import settings

from audit.errors import KeyMissing
from audit.evidence.manifest import sign_note
from audit.formats.times import timestamp_text

FORMAT = "auditsite/export-events/v1"
RSA, NOTE = "SHA256withRSA", "Ed25519 (C2SP signed note)"
# What `redact_pii` masks beside the rules of the officers, by the names of members at any depth.
PERSONAL = (
    *("email", "user_email", "phone", "phone_number", "ssn", "credit_card"),
    *("ip", "source_ip", "client_ip", "remote_addr"),
)


def personal_rules() -> list[dict[str, Any]]:
    """The rules of redaction that `redact_pii=true` adds, as the column `Export.redaction` holds them."""
    return [
        {"name": f"redact_pii-{name}", "path": f"event_data.**.{name}", "event_type": "", "method": "mask"}
        | {"reason": "redact_pii=true was asked for"}
        for name in PERSONAL
    ]


def filters_shown(filters: Mapping[str, str]) -> dict[str, str | int]:
    """The filters as they were sent, numbers as numbers."""
    return {name: int(text) if name in ("limit", "offset") else text for name, text in filters.items()}


def verification(event_ids: Sequence[str], valid: Sequence[bool]) -> dict[str, Any]:
    """The member `hash_chain_verification`."""
    good = sum(valid)
    return {
        "total_events_verified": len(valid),
        "valid_chain_events": good,
        "broken_chain_events": len(valid) - good,
        "chain_integrity_percentage": round(100 * good / len(valid), 2) if valid else 100.0,
        "verification_timestamp": timestamp_text(datetime.now(UTC)),
        "tampered_event_ids": [event_id for event_id, holds in zip(event_ids, valid, strict=True) if not holds],
    }


def signature(events: Sequence[dict[str, Any]], chain: dict[str, Any]) -> dict[str, str]:
    """The signature over the RFC 8785 form of events and verification, by EXPORT_CERTIFICATE_FILE where it is set.

    Raises `KeyMissing`.
    """
    body = rfc8785.dumps({"events": list(events), "hash_chain_verification": chain})
    if (path := settings.EXPORT_CERTIFICATE_FILE) is None:
        text = sign_note("exports are", FORMAT, hashlib.sha256(body).hexdigest())
        return {"signature": base64.b64encode(text.encode()).decode(), "signature_algorithm": NOTE}
    try:
        pem = path.read_bytes()
        key, certificate = load_pem_private_key(pem, None), x509.load_pem_x509_certificate(pem)
    except (OSError, ValueError, TypeError) as error:
        raise KeyMissing(
            f"EXPORT_CERTIFICATE_FILE cannot be read ({type(error).__name__}): PEM, key and certificate."
        ) from None
    if not isinstance(key, RSAPrivateKey) or key.public_key() != certificate.public_key():
        raise KeyMissing("EXPORT_CERTIFICATE_FILE must hold an RSA key and its certificate.")
    return {
        "signature": base64.b64encode(key.sign(body, PKCS1v15(), SHA256())).decode(),
        "signature_algorithm": RSA,
        "certificate_fingerprint": certificate.fingerprint(SHA256()).hex(":"),
    }


def detached(signed: Mapping[str, str]) -> str:
    """The signature as a block of text."""
    return f"-----BEGIN SIGNATURE-----\n{signed['signature']}\n-----END SIGNATURE-----\n"
