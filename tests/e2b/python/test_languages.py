"""Languages of the default template through the stock client: JavaScript, TypeScript, bash.

Contract: section 5, rows 28, 29, 31 and 32 of section 8. Contexts of one sandbox are shared by the
stories, as their users share them.
"""

from __future__ import annotations

import pytest
from harness.patience import eventually

# Longer than a first cell may take on a busy machine.
PATIENCE_SECONDS = 60
# Nothing that a shell, a script or JSON could take for anything else than text.
AWKWARD = "a'b\"c $(id) `id` \\ ${X} \n é 你"


@pytest.fixture(scope="module")
def run(sandbox):
    def run(language: str, code: str, **options):
        return sandbox.run_code(code, language=language, request_timeout=PATIENCE_SECONDS, **options)

    return run


def test_the_default_contexts_are_listed_from_the_start(create):
    assert [context.language for context in create().list_code_contexts()] == ["python", "javascript"]


@pytest.mark.parametrize("name", ["js", "JavaScript ", "javascript"])
def test_all_names_of_a_language_mean_one_context(run, name):
    run("js", "globalThis.seen = (globalThis.seen ?? 0) + 1")
    assert int(run(name, "seen").text) >= 1


def test_javascript_prints_to_standard_output_and_shows_its_last_value(run):
    execution = run("js", "console.log('out'); console.error('err'); const add = (x, y) => x + y; add(1, 2)")
    assert execution.logs.stdout == ["out\n"]
    assert execution.logs.stderr == ["err\n"]
    assert execution.text == "3"


def test_javascript_imports_modules_and_awaits_at_the_top(run):
    code = "import { join } from 'node:path'\nimport os from 'os'\nawait Promise.resolve(join(os.platform()))"
    assert run("js", code).text == "linux"


def test_a_javascript_cell_may_be_run_again(run):
    assert [run("js", "const again = 4; again * 2").text for _ in range(2)] == ["8", "8"]


def test_a_javascript_error_has_name_value_and_traceback(run):
    error = run("js", "function f() { nope }\nf()").error
    assert (error.name, error.value) == ("ReferenceError", "nope is not defined")
    assert "at f (<anonymous>:1" in error.traceback and "runner" not in error.traceback
    assert run("js", "let let = 1").error.name == "SyntaxError"


def test_javascript_shows_what_it_is_told_to(run):
    execution = run("js", "display({'text/html': '<b>x</b>'}, {raw: true})")
    assert [(result.html, result.is_main_result) for result in execution.results] == [("<b>x</b>", False)]


def test_typescript_types_and_enums_work_in_a_context_of_their_own(run):
    run("js", "globalThis.mine = 1")
    code = "interface P { x: number }\nenum Size { Small = 1, Large }\nconst p: P = { x: Size.Large }\np.x"
    assert run("ts", code).text == "2"
    assert run("ts", "typeof (globalThis as any).mine").text == "undefined"


def test_bash_tells_its_outputs_apart_and_its_exit_status(run):
    execution = run("bash", "echo out; echo err >&2; (exit 3)")
    assert execution.logs.stdout == ["out\n"]
    assert execution.logs.stderr == ["err\n"]
    assert (execution.error.name, execution.error.value) == ("ExitStatus", "3")
    assert run("bash", "true").error is None


def test_bash_says_nothing_of_its_own_about_a_program_that_a_signal_has_ended(run):
    logs = run("bash", "yes | head -2; sh -c 'kill -9 $$'; echo on").logs
    assert ("".join(logs.stdout), logs.stderr) == ("y\ny\non\n", [])


def test_bash_keeps_its_directory_variables_and_functions(run):
    run("bash", 'cd /tmp; word=kept; declare -A map=([a]=1); say() { echo "$word ${map[a]}"; }')
    assert "".join(run("bash", "pwd; say").logs.stdout) == "/tmp\nkept 1\n"
    run("bash", "cd /home/user")


def test_bash_streams_while_it_runs(sandbox, run):
    # The cell ends only after its first line was seen.
    code = "echo first; until [ -e /tmp/seen ]; do sleep 0.05; done; echo second"
    seen = []

    def see(message) -> None:
        if not seen:
            sandbox.files.write("/tmp/seen", "")
        seen.append(message.line)

    run("bash", code, on_stdout=see)
    assert seen == ["first\n", "second\n"]


def test_a_shell_that_leaves_is_followed_by_a_new_one(run):
    assert run("bash", "gone=1; exit 4").error.value == "4"
    assert run("bash", 'echo "[$gone]"').logs.stdout == ["[]\n"]


SHOWN = {
    "javascript": ("process.env.STORY", "process.env.STORY = 'own'", "String(process.env.STORY)"),
    "typescript": ("process.env.STORY as string", "process.env.STORY = 'own'", "String(process.env.STORY)"),
}


@pytest.mark.parametrize("language", SHOWN)
def test_variables_of_one_execution_are_text_and_gone_after_it(run, language):
    show, change, after = SHOWN[language]
    execution = run(language, f"console.log({show})", envs={"STORY": AWKWARD})
    assert "".join(execution.logs.stdout) == f"{AWKWARD}\n"
    assert run(language, after).text == "undefined"
    run(language, change)
    run(language, "throw new Error('also undone after this')", envs={"STORY": "other"})
    assert run(language, after).text == "own"


def test_variables_of_one_execution_are_text_in_bash_too(run):
    execution = run("bash", 'printf %s "$STORY"; printenv STORY >&2', envs={"STORY": AWKWARD})
    assert "".join(execution.logs.stdout) == AWKWARD
    assert "".join(execution.logs.stderr) == f"{AWKWARD}\n"
    assert run("bash", 'echo "[${STORY-gone}]"').logs.stdout == ["[gone]\n"]


def test_variables_of_the_sandbox_are_seen_and_come_back(create):
    sandbox = create(envs={"STORY": "sandbox"})
    for language, code in {"js": "process.env.STORY", "ts": "process.env.STORY"}.items():
        assert sandbox.run_code(code, language=language).text == "sandbox"
        assert sandbox.run_code(code, language=language, envs={"STORY": "mine"}).text == "mine"
        assert sandbox.run_code(code, language=language).text == "sandbox"
    say = "echo $STORY"
    assert sandbox.run_code(say, language="bash", envs={"STORY": "mine"}).logs.stdout == ["mine\n"]
    assert sandbox.run_code(say, language="bash").logs.stdout == ["sandbox\n"]


@pytest.mark.parametrize(
    ("language", "endless", "value", "after"),
    [
        ("javascript", "while (true) {}", "globalThis.kept = 5", "kept"),
        ("javascript", "await new Promise(() => setInterval(() => {}, 1000))", "globalThis.kept = 5", "kept"),
        ("bash", "while :; do :; done", "kept=5", "echo $kept"),
        ("bash", "sleep 600; echo never", "kept=5", "echo $kept"),
    ],
)
def test_a_client_that_leaves_interrupts_and_the_state_stays(sandbox, run, language, endless, value, after):
    run(language, value)
    with pytest.raises(Exception, match=r"(?i)time"):
        sandbox.run_code(endless, language=language, timeout=1)
    execution = run(language, after)
    assert "5" in (execution.text or "".join(execution.logs.stdout))


@pytest.mark.parametrize(("language", "code"), [("js", "process.cwd()"), ("bash", "pwd")])
def test_a_context_has_its_directory_and_its_state(sandbox, language, code):
    context = sandbox.create_code_context(cwd="/tmp", language=language)
    execution = sandbox.run_code(code, context=context)
    assert (execution.text or "".join(execution.logs.stdout)).strip() == "/tmp"
    sandbox.restart_code_context(context)
    assert sandbox.run_code(code, context=context).execution_count == 1
    sandbox.remove_code_context(context)


def test_a_removed_context_takes_its_programs_with_it(sandbox):
    context = sandbox.create_code_context(language="bash")
    sandbox.run_code("sleep 4711 & sleep 0.1", context=context)
    count = "pgrep -fc '^sleep 471[1]$' || true"
    assert sandbox.commands.run(count).stdout.strip() == "1"
    sandbox.remove_code_context(context)
    assert eventually(lambda: sandbox.commands.run(count).stdout.strip() == "0")
