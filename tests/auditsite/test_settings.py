"""Settings: what `make run` left behind is found by manage.py and by nothing that names its own; roles start."""

import os
import subprocess
import sys
from pathlib import Path

SAYS = "from auditsite.settings import env; print(env('LEFT_BEHIND', 'nothing'))"


def left_behind(**changed: str) -> str:
    """What a process of its own finds of it."""
    run = subprocess.run([sys.executable, "-c", SAYS], env=os.environ | changed, capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    return run.stdout.strip()


def test_the_environment_of_make_run_is_read_from_where_it_is_named(tmp_path: Path) -> None:
    (tmp_path / "run.env").write_text("LEFT_BEHIND=this\n", encoding="utf-8")
    assert left_behind(RUN_ENV=str(tmp_path / "run.env")) == "this"


def test_the_tests_do_not_see_a_make_run_in_their_folder() -> None:
    assert os.environ["RUN_ENV"] == os.devnull
    assert left_behind() == "nothing"


def test_ingest_starts_with_a_second_factor_of_which_it_knows_nothing() -> None:
    code = (
        "import django; django.setup(); from django.conf import settings; print('allauth' in settings.INSTALLED_APPS)"
    )
    for role, has in (("ingest", "False"), ("site", "True")):
        env = os.environ | {"DJANGO_SETTINGS_MODULE": "auditsite.settings", "ROLE": role, "LOGIN_MFA": "required"}
        run = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True)
        assert run.stdout.strip() == has, run.stderr


def test_of_the_lines_of_the_secret_key_the_first_signs_and_the_others_verify(tmp_path: Path) -> None:
    path = tmp_path / "secret_key"
    path.write_text("of now\n\n of before \n", encoding="utf-8")
    code = (
        "from auditsite import settings as s; from auditsite.entrykey import derive; "
        "print([s.SECRET_KEY, *s.SECRET_KEY_FALLBACKS], s.DLQ_ENTRY_OLD_KEYS == [derive('of before')])"
    )
    env = {name: value for name, value in os.environ.items() if name != "DLQ_ENTRY_KEY_FILE"}
    env |= {"SECRET_KEY_FILE": str(path)}
    run = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True)
    assert run.stdout.strip() == "['of now', 'of before'] True", run.stderr
