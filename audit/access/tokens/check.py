"""check: whose token it is. Its subject is a writer where an operator said so; nothing in it says what it may do."""

from typing import Any

import structlog
from django.conf import settings

from audit.access import api_keys
from audit.access.api_keys import Principal
from audit.access.tokens.issuer_keys import issuer_keys

log = structlog.get_logger(__name__)

MAX_CHARACTERS = 16_384
# Clocks of issuer and store may differ by this.
LEEWAY_S = 30
# Signatures by a public key alone: with a shared secret, or without any, whoever sends could sign.
ALGORITHMS = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA")
REQUIRED = ("exp", "iss", "aud", "sub")


def is_token(credentials: str) -> bool:
    """Whether credentials are a token and no key: a key has no dots."""
    return bool(settings.JWT_ISSUER) and credentials.count(".") == 2


def check(token: str, network: str = "") -> Principal | None:
    """Return the writer that the token's subject is; None where the token does not hold, or its subject is none.

    Raises what `api_keys.check` raises, and `Unanswerable` where the issuer's keys cannot be known.
    """
    import jwt  # the extra `jwt`

    try:
        subject = _claims(token)["sub"]
    except (jwt.PyJWTError, ValueError, TypeError) as error:
        log.info("token_refused", why=type(error).__name__)
        return None
    return api_keys.check_digest(api_keys.subject_digest(settings.JWT_ISSUER, subject), network)


def _claims(token: str) -> dict[str, Any]:
    """The claims of a token whose signature, issuer, audience and time hold. Raises `PyJWTError`, `ValueError`."""
    import jwt

    if len(token) > MAX_CHARACTERS:
        raise ValueError("the token is too long")
    header = jwt.get_unverified_header(token)
    if header.get("alg") not in settings.JWT_ALGORITHMS:
        raise jwt.InvalidAlgorithmError("not in JWT_ALGORITHMS")
    key = issuer_keys.find(str(header.get("kid", "")))
    if key is None:
        raise ValueError("the issuer has no key with this id")
    claims: dict[str, Any] = jwt.decode(
        token,
        key,
        algorithms=list(settings.JWT_ALGORITHMS),
        audience=settings.JWT_AUDIENCE,
        issuer=settings.JWT_ISSUER,
        leeway=LEEWAY_S,
        options={"require": list(REQUIRED)},
    )
    return claims
