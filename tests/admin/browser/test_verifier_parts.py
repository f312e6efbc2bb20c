"""The parts of the page that verifies in the browser, each against what is published and against verify.py."""

import hashlib
import json
import random
import struct
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page

from audit.formats import spellings
from tests.admin.browser.conftest import new_page
from tests.auditor import ERASABLE, VECTORS, verify

pytestmark = [pytest.mark.browser, pytest.mark.slow]

MERKLE = json.loads((Path(__file__).parents[2] / "data" / "merkle-proofs.json").read_text(encoding="utf-8"))
OWN_WORDS = "this is not JSON:"
"""What follows these is what Python's own library says, and the page's own reader says it otherwise."""


@pytest.fixture(scope="module")
def modules(browser: Browser, site: str) -> Iterator[Page]:
    page = new_page(browser)
    page.goto(f"{site}/verify/")
    yield page
    page.context.close()


def spelling(draw: random.Random) -> str:
    """What is an address of IPv4 or IPv6 in some spelling, or nearly."""
    written = [format(draw.choice([0, 0, 1, 0xFFFF, 0xDB8]), draw.choice(["x", "X", "04x"])) for _ in range(8)]
    groups = [draw.choice(["10000", "g", "", "00", "\u0663"]) if draw.random() < 0.03 else group for group in written]
    if draw.random() < 0.3:
        groups[:6] = ["0"] * 5 + ["ffff"]
    if draw.random() < 0.4:
        groups[6:] = [
            ".".join(draw.choice(["0", "7", "192", "255", "256", "01"]) for _ in range(draw.choice([3, 4, 4])))
        ]
    first = draw.randrange(len(groups) + 1)
    last = draw.randrange(first, len(groups) + 1)
    short = ":".join(groups[:first]) + "::" + ":".join(groups[last:])
    text = draw.choice([":".join(groups), short, short, groups[-1]])
    place = draw.randrange(len(text) + 1)
    return (
        text[:place] + draw.choice([":", ".", " ", "%1", "\n", "0", "/", "-"]) + text[place:]
        if draw.random() < 0.1
        else text
    )


def test_an_address_is_the_same_to_the_page_and_to_python_in_any_spelling(modules: Page) -> None:
    draw = random.Random(7)
    texts = [spelling(draw) for _ in range(5_000)]
    import_it = 'async (texts) => texts.map((await import("/verify/spellings.js")).spelledOut)'
    of_page = modules.evaluate(import_it, texts)
    assert 1_000 < sum(spelled is not None for spelled in of_page) < 4_000
    for text, spelled in zip(texts, of_page, strict=True):
        assert spelled == spelled_out(text), text
        assert verify.is_address(text, [spelled or text]) == (spelled is not None), text


def spelled_out(text: str) -> str | None:
    try:
        return spellings.spelled_out(spellings.read_address(text))
    except ValueError:
        return None


SHA256 = {
    b"": "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    b"abc": "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
    b"abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq": (
        "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1"
    ),
    b"a" * 1_000_000: "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0",
}
"""FIPS 180-4, the examples."""


def test_sha256_is_as_published_and_as_pythons_at_every_length(modules: Page) -> None:
    texts = [*map(bytes.decode, SHA256), *("x" * length for length in range(200))]
    found = modules.evaluate(
        """async (texts) => {
          const { sha256 } = await import("/verify/sha256.js");
          const { hex, bytesOf } = await import("/verify/words.js");
          const parts = (text) => Array.from(text.slice(0, 199), bytesOf);
          return texts.map((text) => [hex(sha256(bytesOf(text))), hex(sha256(...parts(text)))]);
        }""",
        texts,
    )
    assert [whole for whole, _ in found[: len(SHA256)]] == list(SHA256.values())
    for text, (whole, parts) in zip(texts, found, strict=True):
        assert whole == hashlib.sha256(text.encode()).hexdigest()
        assert parts == hashlib.sha256(text[:199].encode()).hexdigest()


CANONICAL = """async (texts) => {
  const [json, words] = [await import("/verify/json.js"), await import("/verify/words.js")];
  const form = (text) => {
    try {
      const value = json.parse(words.bytesOf(text));
      return [words.hex(json.canonical(value)), json.python(value)];
    } catch (error) {
      return [error.message, ""];
    }
  };
  return texts.map(form);
}"""


def test_the_canonical_form_is_as_published(modules: Page) -> None:
    found = modules.evaluate(CANONICAL, [case["input"] for case in VECTORS])
    assert [form for form, _ in found] == [case["canonical_hex"] for case in VECTORS]


def test_each_value_that_can_be_erased_is_compared_with_its_commitment(modules: Page) -> None:
    found = modules.evaluate(
        """async (texts) => {
          const { leafOf } = await import("/verify/records.js");
          const [json, words] = [await import("/verify/json.js"), await import("/verify/words.js")];
          return texts.map((text) => {
            try {
              return words.hex(leafOf(json.parse(words.bytesOf(text))));
            } catch (error) {
              return error.message;
            }
          });
        }""",
        [json.dumps(case["record"]) for case in ERASABLE],
    )
    for case, said in zip(ERASABLE, found, strict=True):
        assert said == (case["fault"] or verify.leaf_of(case["record"]).hex()), case["name"]


def _floats() -> list[float]:
    numbers = random.Random(8785)
    found = [struct.unpack("<d", numbers.randbytes(8))[0] for _ in range(3000)]
    found += [numbers.uniform(-1, 1) * 10 ** numbers.randint(-8, 24) for _ in range(3000)]
    return [one for one in found if one - one == 0]


def test_numbers_are_read_and_written_exactly(modules: Page) -> None:
    texts = [repr(one) for one in _floats()]
    texts += ["-0", "-0.0", "0.0", "1e16", "1E+2", "1e-4", "1e-5", "9007199254740991", "9007199254740992", "1" * 400]
    for text, (form, table) in zip(texts, modules.evaluate(CANONICAL, texts), strict=True):
        value = verify.parse(text.encode())
        if abs(value) > verify.LARGEST_INTEGER and isinstance(value, int):
            assert form == f"the integer {value} is beyond 2^53-1"
            continue
        assert bytes.fromhex(form) == verify.canonical(value), text
        assert table == json.dumps(value), text


HOSTILE_JSON = [
    *('{"a":1,"a":1}', '{"a":1,"\\u0061":2}', '{"a":1,}', '{"a" 1}', "{'a':1}", '{"__proto__":1,"2":0,"10":0}'),
    *('{"\U0001f600":1,"\ufb33":2}', '{"constructor":1}', " [ 1 , { } , [ ] ] ", "[1,]", "[1 2]", "[" * 50_000),
    *("NaN", "-Infinity", "01", "1.", ".5", "+1", "1 2", "1e400", "", "nul", "tru", "truex", "\ufeff1", "1\u00a0"),
    *('"\t"', '"\\x"', '"\\u12"', "'a'", '"', '"\\', '"\\ud800"', '"\\ud83d\\ude00"', '"\x7f\u2028"'),
]


def test_what_verify_py_does_not_read_the_page_does_not_read(modules: Page) -> None:
    for text, (form, _) in zip(HOSTILE_JSON, modules.evaluate(CANONICAL, HOSTILE_JSON), strict=True):
        try:
            wanted = verify.canonical(verify.parse(text.encode())).hex()
        except verify.Unusable as error:
            wanted = str(error)
        assert form.partition(OWN_WORDS)[:2] == wanted.partition(OWN_WORDS)[:2], text[:80]


def test_the_published_proofs_of_inclusion_hold_and_the_others_do_not(modules: Page) -> None:
    found = modules.evaluate(
        """async (cases) => {
          const { checkInclusion } = await import("/verify/merkle.js");
          const { unbase64 } = await import("/verify/words.js");
          return cases.map((one) => {
            const [leaf, root] = [unbase64(one.leafHash), unbase64(one.root)];
            try {
              checkInclusion(leaf, one.leafIdx, one.treeSize, (one.proof ?? []).map(unbase64), root);
              return false;
            } catch (error) {
              return true;
            }
          });
        }""",
        MERKLE["inclusion"],
    )
    assert found == [case["wantErr"] for case in MERKLE["inclusion"]]
