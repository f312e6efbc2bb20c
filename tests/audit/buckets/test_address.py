"""The address of a prefix in a bucket is read, or refused with what is wrong with it."""

import pytest

from audit.buckets import address


@pytest.mark.parametrize(
    ("text", "bucket", "prefix", "shown"),
    [
        ("s3://audit-archive", "audit-archive", "", "s3://audit-archive"),
        ("s3://audit-archive/", "audit-archive", "", "s3://audit-archive"),
        ("s3://b.c1/2026/08/", "b.c1", "2026/08", "s3://b.c1/2026/08"),
    ],
)
def test_an_address_is_a_bucket_and_a_prefix(text: str, bucket: str, prefix: str, shown: str) -> None:
    read = address.read(text)
    assert (read.bucket, read.prefix, str(read)) == (bucket, prefix, shown)
    assert read.stem == (f"{prefix}/" if prefix else "")


@pytest.mark.parametrize("text", ["s3://", "s3://Up", "s3://a", "s3:///x", "/folder", "s3://under_score/x"])
def test_what_names_no_bucket_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is no bucket"):
        address.read(text)


@pytest.mark.parametrize("prefix", ["a//b", "../x", "a/./b", "x" * 801, "line\nend"])
def test_a_prefix_that_no_key_should_begin_with_is_refused(prefix: str) -> None:
    with pytest.raises(ValueError, match="the prefix of s3://bucket/"):
        address.read(f"s3://bucket/{prefix}")
