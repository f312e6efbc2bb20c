"""What verify.py says of purged leaves, certificates and cross-links, the page that verifies says in the same words."""

from typing import Any

import pytest

from tests.admin.browser.conftest import using, zipped
from tests.audit.evidence import test_purged_leaves as of_purged
from tests.audit.evidence.conftest import PINNED, rules, small_volumes
from tests.verify_file import test_crosslinks_and_certificates as of_links

pytestmark = [pytest.mark.browser, pytest.mark.slow]
__all__ = ["rules", "small_volumes"]


@pytest.fixture
def checked(both: Any, elsewhere: Any) -> Any:
    """As in the tests of evidence, in a store of its own; whatever verify.py says there, the page must say too."""
    return lambda where, *arguments: both("evidence", zipped(where), *(arguments or PINNED))


@pytest.fixture
def run(both: Any) -> Any:
    """As in the tests of cross-links and certificates."""
    return both


SAMPLED = {
    "test_a_certificate_says_what_was_removed_by_whom_and_why",
    "test_a_certificate_that_does_not_hold_is_refused",
    "test_a_checkpoint_that_the_cross_link_does_not_explain_is_told",
    "test_a_cross_link_says_what_was_cut_and_which_key_goes_on",
    "test_a_cross_link_that_does_not_hold_teaches_nothing",
    "test_ranges_that_a_certificate_does_not_name_are_given_beside_it",
    "test_with_the_cross_link_the_key_of_before_leads_to_a_bundle_of_now",
    "test_a_range_with_purged_leaves_is_proved_whole_and_says_so",
    "test_purged_leaves_that_were_tampered_with_are_refused",
    "test_volumes_of_purged_leaves_alone_and_of_both_are_one_range",
}
globals().update(using(of_purged, "checked") | using(of_links, "run"))
