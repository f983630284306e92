"""The two layers of variables, without a kernel."""

from __future__ import annotations

from typing import Any

import pytest

from soulbox_kernel.environment import BadEnvironmentError, Environment, checked


def test_an_execution_puts_back_what_it_covered() -> None:
    environ = {"KEPT": "1", "COVERED": "sandbox"}
    environment = Environment(environ)
    with environment.execution({"COVERED": "cell", "NEW": "x", "KEPT": None}):
        assert environ == {"COVERED": "cell", "NEW": "x"}
    assert environ == {"KEPT": "1", "COVERED": "sandbox"}


def test_a_change_by_the_cell_itself_is_undone_for_covered_names_only() -> None:
    environ = {"A": "1"}
    with Environment(environ).execution({"A": "2"}):
        environ["A"] = "3"
        environ["B"] = "stays"
    assert environ == {"A": "1", "B": "stays"}


def test_a_sandbox_variable_set_under_a_running_cell_appears_after_it() -> None:
    environ: dict[str, str] = {}
    environment = Environment(environ)
    with environment.execution({"A": "cell"}):
        environment.update({"A": "sandbox", "B": "sandbox"})
        assert environ == {"A": "cell", "B": "sandbox"}
    assert environ == {"A": "sandbox", "B": "sandbox"}
    environment.update({"A": None})
    assert environ == {"B": "sandbox"}


def test_overlapping_executions_may_end_in_any_order() -> None:
    environ = {"A": "base"}
    environment = Environment(environ)
    first, second = environment.execution({"A": "1"}), environment.execution({"A": "2"})
    first.__enter__()
    second.__enter__()
    first.__exit__(None, None, None)
    assert environ == {"A": "2"}
    second.__exit__(None, None, None)
    assert environ == {"A": "base"}


@pytest.mark.parametrize(
    "env",
    ["x", ["A"], {"": "x"}, {"A=B": "x"}, {"A\0": "x"}, {"A": "x\0"}, {"A": 1}, {1: "x"}],
)
def test_what_cannot_be_an_environment_is_refused(env: Any) -> None:
    with pytest.raises(BadEnvironmentError):
        checked(env)


def test_any_text_without_nul_is_a_value() -> None:
    value = "\n'\"$`\\ \x01\udc80é漢"
    assert checked({"A": value, "B": None}) == {"A": value, "B": None}
    assert checked(None) == {}
