"""What a session of tests starts and makes is gone when it ends."""

import subprocess
import sys
from pathlib import Path


def test_a_process_that_runs_no_test_leaves_no_folder() -> None:
    code = "from tests import servers; assert servers.FOLDER.is_dir(); print(servers.FOLDER)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not Path(done.stdout.strip()).exists()
