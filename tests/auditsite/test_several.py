"""Several management commands in one process."""

import pytest

from auditsite import several


def test_commands_run_in_their_order_until_one_fails(capsys: pytest.CaptureFixture[str]) -> None:
    several.main(["version", several.SEPARATOR, "version", several.SEPARATOR])
    first, second = capsys.readouterr().out.split()
    assert first == second
    with pytest.raises(SystemExit) as end:
        several.main(["no-such-command", several.SEPARATOR, "version"])
    assert end.value.code == 1
    assert capsys.readouterr().out == ""
