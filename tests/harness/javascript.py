"""Runs the JavaScript stories with `node --test` and shows each as a test of its own.

One file is run once per version of the packages, against the session's server; its TAP output
says which stories held. Names are read from the file, so that a file that fails to load fails
all its stories instead of none.
"""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Iterable
from pathlib import Path

import pytest

# Where tests/setup.sh installs the two generations of the npm packages.
CACHE = Path(os.environ.get("SOULBOX_CACHE", Path.home() / ".cache/soulbox"))
GENERATIONS = ("classic", "current")
# A file holds a handful of stories, each with its own sandbox at worst.
FILE_SECONDS = 300

STORY = re.compile(r"^test\(\s*['\"`](.+?)['\"`]", re.MULTILINE)
RESULT = re.compile(r"^(not ok|ok) \d+ - (.+?)(?: # (.+))?$", re.MULTILINE)


class StoryFile(pytest.File):
    def collect(self) -> Iterable[pytest.Item]:
        names = STORY.findall(self.path.read_text())
        for generation in GENERATIONS:
            run = Run(self.path, generation)
            for name in names:
                yield Story.from_parent(self, name=f"{generation}: {name}", story=name, run=run)


class Run:
    """One file under one generation of the packages, run on first use."""

    def __init__(self, path: Path, generation: str):
        self.path, self.generation = path, generation
        self.output = ""
        self.results: dict[str, bool] | None = None

    def result(self, story: str, settings: dict[str, str]) -> bool:
        if self.results is None:
            self.results = self._run(settings)
        return self.results.get(story, False)

    def _run(self, settings: dict[str, str]) -> dict[str, bool]:
        packages = CACHE / "npm" / self.generation
        if not (packages / "node_modules").is_dir():
            self.output = f"{packages} is missing: run tests/setup.sh"
            return {}
        node = str(CACHE / "node")
        environment = {**os.environ, **settings, "SOULBOX_NPM": str(packages)}
        command = [node, "--test", "--test-reporter=tap", str(self.path)]
        try:
            done = subprocess.run(
                command, env=environment, capture_output=True, text=True, timeout=FILE_SECONDS
            )
            self.output = done.stdout + done.stderr
        except subprocess.TimeoutExpired as expired:
            self.output = f"no end after {FILE_SECONDS} s\n{expired.stdout}\n{expired.stderr}"
        # Stories may be indented below a line for their file, depending on the version of node.
        flat = re.sub(r"^ {4}", "", self.output, flags=re.MULTILINE)
        return {name: verdict == "ok" for verdict, name, _ in RESULT.findall(flat)}


class Failed(Exception):
    """A JavaScript story did not hold; the text is the output of node."""


class Story(pytest.Function):
    """A story as a pytest function, so that it can use the session's server."""

    def __init__(self, *, story: str, run: Run, **rest):
        def check(server) -> None:
            if not run.result(story, server.settings()):
                raise Failed(excerpt(run.output, story))

        super().__init__(callobj=check, **rest)

    def repr_failure(self, excinfo, style=None):
        if isinstance(excinfo.value, Failed):
            return str(excinfo.value)
        return super().repr_failure(excinfo, style)


def excerpt(output: str, story: str) -> str:
    """The part of the output from the story's line on, or its end when there is no such line."""
    lines = output.splitlines()
    for number, line in enumerate(lines):
        if line.strip().startswith("not ok") and story in line:
            return "\n".join(lines[number : number + 40])
    return "\n".join(lines[-60:])
