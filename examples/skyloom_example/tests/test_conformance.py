"""Every model of the plugin does what all models of its task must do."""

from skyloom.testing import Case, parametrize_with_checks


@parametrize_with_checks("skyloom-example")
def test_conformance(check: Case) -> None:
    check()
