"""`npm:` in a cell of JavaScript or TypeScript: a package comes from a registry when it is needed."""

from __future__ import annotations

import pytest
from outside import NPM_PACKAGE, SILENT

# npm takes seconds by itself, and tries twice.
PATIENCE_SECONDS = 120


@pytest.fixture
def run(outside):
    """Runs a cell that finds our registry where npm looks for its own."""

    def run(sandbox, language: str, code: str, **options):
        registry = {"NPM_CONFIG_REGISTRY": options.pop("registry", outside.url("/npm"))}
        options.setdefault("timeout", PATIENCE_SECONDS)
        return sandbox.run_code(code, language=language, envs=registry, **options)

    return run


@pytest.mark.parametrize("language", ["javascript", "typescript", "deno"])
def test_a_package_is_installed_by_its_import(inside, run, language):
    code = f"import tiny from 'npm:{NPM_PACKAGE}'\ntiny.version"
    execution = run(inside, language, code)
    assert (execution.error, execution.text) == (None, "2.1.0")


def test_versions_and_files_of_a_package_are_what_was_asked_for(inside, run):
    code = f"""
const old = await import('npm:{NPM_PACKAGE}@1')
const exact = await import('npm:{NPM_PACKAGE}@2.1.0')
const inside = await import('npm:/{NPM_PACKAGE}@^1.0.0/inside.js')
const found = [old.default.version, exact.default.version, inside.default]
found.join()
"""
    execution = run(inside, "javascript", code)
    assert (execution.error, execution.text) == (None, "1.0.0,2.1.0,a file of it")


def test_what_was_installed_needs_no_registry(inside, run, outside):
    code = f"(await import('npm:{NPM_PACKAGE}@2')).default.version"
    assert run(inside, "javascript", code).text == "2.1.0"
    inside.run_code("globalThis.kept = 1", language="javascript")
    nowhere = f"http://{SILENT}:9/"
    assert run(inside, "javascript", code, registry=nowhere).text == "2.1.0"


@pytest.mark.parametrize("package", ["soulbox-missing", "soulbox-missing@3", "@soulbox/missing/file.js"])
def test_a_package_that_does_not_exist_is_named(inside, run, package):
    error = run(inside, "javascript", f"import x from 'npm:{package}'").error
    assert error.name == "PackageError"
    assert f"npm:{package} could not be installed" in error.value and "404" in error.value


def test_a_name_that_is_none_is_said(inside, run):
    for name in ("", "../up", "--global", "a b", "x@file:/etc", "x@http://h/x.tgz"):
        error = run(inside, "javascript", f"await import('npm:{name}')").error
        assert (error.name, "is not the name of a package" in error.value) == ("PackageError", True), name


def test_without_a_way_out_the_error_says_what_to_do(create, run):
    closed = create(allow_internet_access=False)
    error = run(closed, "typescript", f"import x from 'npm:{NPM_PACKAGE}'").error
    assert error.name == "PackageError"
    assert f"npm:{NPM_PACKAGE} could not be installed" in error.value
    assert "allow it internet access" in error.value


def test_a_client_that_leaves_ends_the_installation(inside, run):
    run(inside, "javascript", "globalThis.before = 7")
    with pytest.raises(Exception, match=r"(?i)time"):
        run(inside, "javascript", "import x from 'npm:silent'", timeout=4)
    assert run(inside, "javascript", "before").text == "7"
    assert inside.commands.run("pgrep -f '[n]pm install' || true", user="root").stdout == ""
