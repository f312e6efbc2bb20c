"""faults: what the server of a bucket or the network said, in words, and whether it may pass by itself.

The texts name the place and the server's code. Keys, signatures and what the server repeats of a request are in none.
"""

from typing import Any

SEE = "(docs/settings.md)"
# The server's codes, and what somebody has to do about each.
_CODES = {
    "InvalidAccessKeyId": f"the server does not know the access key: check S3_ACCESS_KEY_ID {SEE}",
    "SignatureDoesNotMatch": f"the secret is not that of the access key: check S3_SECRET_ACCESS_KEY {SEE}",
    "AccessDenied": "the access key may not do this: docs/evidence.md names the rights that it needs",
    "AllAccessDisabled": "all access to it is switched off on the server",
    "NoSuchBucket": "there is no such bucket: make it, with object lock where it is to lock, or name another",
    "ExpiredToken": "the session of the credentials is over: get new ones",
    "InvalidToken": "the session token is not believed: get new credentials",
    "RequestTimeTooSkewed": "the clocks of the server and of this machine differ by more than 15 minutes: set them",
    "AuthorizationHeaderMalformed": f"the region is another: set S3_REGION to that of the bucket {SEE}",
    "PermanentRedirect": f"the bucket is elsewhere: set S3_REGION or S3_ENDPOINT to where it is {SEE}",
    "IllegalLocationConstraintException": f"the region is another: set S3_REGION to that of the bucket {SEE}",
    "QuotaExceeded": "the quota of the bucket or of its owner is full: raise it",
    "NoSuchVersion": "the server has no such version of it",
    "ObjectLocked": "the server keeps it locked",
}
_LATER = {"SlowDown", "ServiceUnavailable", "InternalError", "RequestTimeout", "RequestTimeoutException", "Throttling"}
_REGION = {"AuthorizationHeaderMalformed", "PermanentRedirect", "301", "400", "IllegalLocationConstraintException"}


class BucketFault(Exception):
    """A bucket did not do what it was asked for. `passes`: the same may go well later, with nothing changed."""

    def __init__(self, text: str, *, passes: bool = False, code: str = ""):
        super().__init__(text)
        self.passes, self.code = passes, code


def told(error: Exception, place: str) -> BucketFault:
    """What an error of the library means at this place."""
    from botocore import exceptions

    if isinstance(error, exceptions.ClientError):
        return _of_answer(error.response, place)
    if isinstance(error, (exceptions.NoCredentialsError, exceptions.PartialCredentialsError)):
        text = "there are no credentials: set S3_ACCESS_KEY_ID and S3_SECRET_ACCESS_KEY_FILE, or what the library reads"
        return BucketFault(f"{place}: {text} {SEE}.")
    if isinstance(error, exceptions.SSLError):
        text = "the certificate of the server is not believed: name its authority in S3_CA_FILE"
        return BucketFault(f"{place}: {text} {SEE}.")
    if isinstance(error, exceptions.IncompleteReadError):
        return BucketFault(f"{place}: the answer was cut off: try again.", passes=True)
    if isinstance(error, (exceptions.HTTPClientError, exceptions.ConnectionError)):
        said = type(error).__name__.removesuffix("Error")
        text = f"the server did not answer ({said}): is S3_ENDPOINT right, the server at work, the network open?"
        return BucketFault(f"{place}: {text}", passes=True)
    return BucketFault(f"{place}: {type(error).__name__}: the settings of S3 cannot be used {SEE}.")


def code_of(error: Exception) -> str:
    """The server's own word for what is wrong; empty where it did not answer."""
    response: dict[str, Any] = getattr(error, "response", {})
    return str(response.get("Error", {}).get("Code", ""))


def status_of(error: Exception) -> int:
    """The status of the answer; 0 where there was none."""
    response: dict[str, Any] = getattr(error, "response", {})
    return int(response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))


def _of_answer(response: dict[str, Any], place: str) -> BucketFault:
    code, status = str(response.get("Error", {}).get("Code", "")), _status(response)
    known = _CODES.get(code)
    if code in _REGION and (region := _region(response)):
        return BucketFault(f"{place}: the bucket is in the region {region}: set S3_REGION to it {SEE}.", code=code)
    if known is None and code in ("403", "Forbidden"):
        known = _CODES["AccessDenied"]
    if known is not None:
        return BucketFault(f"{place}: {known}. The server says {code} ({status}).", code=code)
    passes = code in _LATER or status >= 500 or status == 429
    what = "try again later" if passes else "the server refuses this"
    return BucketFault(f"{place}: the server answered {status} {code}: {what}.", passes=passes, code=code)


def _status(response: dict[str, Any]) -> int:
    return int(response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))


def _region(response: dict[str, Any]) -> str:
    """The region that the server names, where it names another."""
    headers = response.get("ResponseMetadata", {}).get("HTTPHeaders", {})
    named = str(response.get("Error", {}).get("Region", "") or headers.get("x-amz-bucket-region", ""))
    return named if named.replace("-", "").isalnum() and len(named) < 40 else ""
