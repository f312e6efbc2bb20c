"""covering: which archive holds a range of the log, as its last check showed."""

from audit.models import Archive


def covers(first: int, last: int) -> Archive | None:
    """Return the newest archive that holds all leaves from `first` to `last - 1`; None where there is none.

    Only an archive counts whose last check was of all its volumes and said VERIFIED, with no fault seen since. How long
    ago that was is in `last_check()`. Raises `ValueError` for a range of no leaf.
    """
    if not 0 <= first < last:
        raise ValueError(f"a range is first and last, with 0 <= first < last, not {first} and {last}")
    whole = Archive.objects.filter(state="ready", first__lte=first, last__gte=last)
    return next((archive for archive in whole if archive.holds), None)
