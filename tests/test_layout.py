"""The layout holds: a package for each promise, the same names on every floor, and no folder too full to overlook."""

import re
from pathlib import Path

ROOT = Path(__file__).parent.parent
AUDIT = ROOT / "audit"
OF_DJANGO = {"migrations", "management/commands"}
# What an admin or an API has of its own, whatever the packages are.
OF_ADMIN = {"frame", "base", "charts", "dashboard", "display"}
OF_API = {"auth", "base", "openapi", "parsers", "problems", "throttles", "upstream", "urls"}


def modules(folder: Path) -> set[str]:
    """The names of the modules in a folder, its face aside."""
    return {path.stem for path in folder.glob("*.py")} - {"__init__"}


def packages(folder: Path) -> set[str]:
    """The names of the packages in a folder."""
    return {path.parent.name for path in folder.glob("*/__init__.py")}


def words_of_packages() -> set[str]:
    """The packages of audit and what is in them, in the singular and in the plural."""
    names = packages(AUDIT) | {
        name for package in packages(AUDIT) - {"admin", "api"} for name in modules(AUDIT / package)
    }
    return names | {f"{name}s" for name in names}


def test_every_package_of_audit_has_tests_of_its_name() -> None:
    own_floor = {"admin", "api"}
    assert packages(AUDIT) - own_floor - {"migrations"} <= packages(ROOT / "tests" / "audit")
    assert own_floor <= packages(ROOT / "tests")


def test_pages_and_endpoints_bear_the_names_of_packages() -> None:
    assert packages(AUDIT / "admin") | modules(AUDIT / "admin") <= packages(AUDIT) | OF_ADMIN
    assert packages(AUDIT / "api") | modules(AUDIT / "api") <= words_of_packages() | OF_API


def test_no_folder_has_more_modules_than_one_can_look_through() -> None:
    assert len(modules(AUDIT)) <= 14
    folders = [path for path in (AUDIT, *AUDIT.rglob("*")) if path.is_dir()]
    many = {str(path.relative_to(AUDIT)): len(modules(path)) for path in folders if len(modules(path)) > 16}
    assert many.keys() <= OF_DJANGO


def test_each_package_says_what_is_in_it() -> None:
    for package in packages(AUDIT) - {"migrations", "management"}:
        assert (AUDIT / package / "__init__.py").read_text(encoding="utf-8").startswith('"""'), package


def test_scenes_are_not_taken_from_the_tests_of_others() -> None:
    """They are in a conftest. Whole modules are run again beside the browser, and are imported for that."""
    taken = re.compile(r"^\s*from tests(?:\.\w+)*\.test_\w+ import", re.MULTILINE)
    assert [
        str(path) for path in (ROOT / "tests").rglob("*.py") if taken.search(path.read_text(encoding="utf-8"))
    ] == []
