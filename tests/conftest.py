"""Loads the harness for every story below this directory."""

pytest_plugins = ["harness.plugin"]
