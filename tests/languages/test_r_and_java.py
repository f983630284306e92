"""R and Java, in the template that has them, through the stock client.

Contract: section 5, rows 28, 31 and 32 of section 8.
"""

from __future__ import annotations

import pytest

# A virtual machine starts in this time even where two cores are shared by many.
PATIENCE_SECONDS = 120
AWKWARD = "a'b\"c $(id) `id` \\ ${X} \n é 你"


@pytest.fixture(scope="module")
def run(full):
    def run(language: str, code: str, **options):
        options.setdefault("timeout", PATIENCE_SECONDS)
        return full.run_code(code, language=language, **options)

    return run


def test_r_prints_and_shows_its_only_value_as_the_main_one(run):
    assert run("r", 'print("text")').logs.stdout == ['[1] "text"\n']
    execution = run("r", "x <- 20; x + 1")
    assert execution.text == "[1] 21" and execution.results[0].is_main_result
    assert [result.is_main_result for result in run("r", "x; x").results] == [False, False]


def test_r_tells_errors_and_what_goes_to_standard_error(run):
    error = run("r", "stop('boom')").error
    assert "boom" in error.value and "\x1b" not in error.traceback
    assert "".join(run("r", "cat('aside', file = stderr())").logs.stderr) == "aside"


def test_a_plot_of_r_is_a_picture(run):
    execution = run("r", "plot(1:3)")
    assert execution.results[0].png and execution.results[0].is_main_result


def test_java_prints_computes_and_keeps_its_state(run):
    # Row 32: the first item has no end of line.
    assert run("java", 'System.out.println("Hello");').logs.stdout == ["Hello", "\n"]
    run("java", "int x = 20;")
    assert run("java", "x + 1").text == "21"


def test_java_tells_errors(run):
    error = run("java", 'throw new IllegalStateException("boom");').error
    assert "IllegalStateException" in error.name + error.value + error.traceback
    assert "boom" in error.value + error.traceback and "\x1b" not in error.traceback


@pytest.mark.parametrize(
    ("language", "show", "gone"),
    [
        ("r", "cat(Sys.getenv('{name}'))", ""),
        ("java", 'System.out.print(System.getProperty("{name}"));', "null"),
    ],
)
def test_variables_are_text_and_gone_after_their_execution(run, language, show, gone):
    def shown(name: str, **options) -> str:
        return "".join(run(language, show.replace("{name}", name), **options).logs.stdout)

    assert shown("STORY", envs={"STORY": AWKWARD, "EMPTY": ""}) == AWKWARD
    assert shown("STORY") == gone
    assert shown("OF_SANDBOX") == "yes"
    assert shown("OF_SANDBOX", envs={"OF_SANDBOX": "no"}) == "no"
    assert shown("OF_SANDBOX") == "yes"


@pytest.mark.parametrize(
    ("language", "keep", "endless", "after"),
    [("r", "kept <- 5", "while (TRUE) {}", "kept"), ("java", "int kept = 5;", "while (true) {}", "kept")],
)
def test_a_client_that_leaves_interrupts_and_the_state_stays(run, language, keep, endless, after):
    run(language, keep)
    with pytest.raises(Exception, match=r"(?i)time"):
        run(language, endless, timeout=2)
    assert run(language, after).text.endswith("5")


def test_directories_are_the_contexts_own(full, run):
    assert run("r", "cat(getwd())").logs.stdout == ["/home/user"]
    assert run("java", 'System.getProperty("user.dir")').text == "/home/user"
    context = full.create_code_context(cwd="/tmp", language="r")
    assert full.run_code("cat(getwd())", context=context, timeout=PATIENCE_SECONDS).logs.stdout == ["/tmp"]
    full.remove_code_context(context)
