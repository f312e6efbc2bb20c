"""`python -m auditclient` is the command `auditclient`."""

import sys

from auditclient.command import main

sys.exit(main())
