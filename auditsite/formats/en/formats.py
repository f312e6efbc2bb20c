"""formats.en.formats: the names that Django looks for here; its own would be "8:55 p.m.", and of no zone."""

DATE_FORMAT = SHORT_DATE_FORMAT = "Y-m-d"
DATETIME_FORMAT = SHORT_DATETIME_FORMAT = r"Y-m-d H:i:s\Z"
TIME_FORMAT = r"H:i:s\Z"
