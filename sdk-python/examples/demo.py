"""The main job of SoulBox, through the stock package `e2b-code-interpreter`.

Nothing in here knows SoulBox: the server is found through E2B_API_URL, E2B_SANDBOX_URL and
E2B_API_KEY. Files are written into the directory that is given as the only argument, or into
the current one.
"""

from __future__ import annotations

import base64
import json
import sys
import time
from pathlib import Path

from e2b_code_interpreter import Execution, Sandbox

# Made up: mean temperatures of two places by the sea.
WEATHER = """month,harbour,lighthouse
Jan,3.1,2.2
Feb,3.4,2.4
Mar,6.0,4.9
Apr,9.8,8.1
May,14.2,12.0
Jun,17.5,15.1
Jul,19.6,17.3
Aug,19.2,17.6
Sep,15.6,14.9
Oct,11.1,10.8
Nov,6.8,6.5
Dec,4.2,3.6
"""

CELL = """
import pandas as pd
import matplotlib.pyplot as plt

weather = pd.read_csv("weather.csv")
plt.figure(figsize=(8, 4.5))
plt.plot(weather["month"], weather["harbour"], marker="o", label="harbour")
plt.plot(weather["month"], weather["lighthouse"], marker="s", label="lighthouse")
plt.title("A year by the sea")
plt.xlabel("Month")
plt.ylabel("Temperature (°C)")
plt.grid(alpha=0.3)
plt.legend()
plt.show()

print(f"{len(weather)} months, warmest: {weather.loc[weather['harbour'].idxmax(), 'month']}")
weather.describe().round(1)
"""


class Story:
    """Prints each step with the time that it took."""

    def __init__(self) -> None:
        self._begun = time.monotonic()

    def tell(self, text: str) -> None:
        now = time.monotonic()
        print(f"[{now - self._begun:6.2f} s] {text}", flush=True)
        self._begun = now


def keep_figure(execution: Execution, directory: Path) -> None:
    """Writes the picture and the data of the chart beside each other."""
    figure = next(result for result in execution.results if result.png)
    assert figure.png and figure.chart
    picture, data = directory / "chart.png", directory / "chart.json"
    picture.write_bytes(base64.b64decode(figure.png))
    data.write_text(json.dumps(figure.chart.to_dict(), indent=2, ensure_ascii=False) + "\n")
    lines = [element.label for element in figure.chart.elements]
    print(f"           wrote {picture} ({picture.stat().st_size} bytes)")
    print(f"           wrote {data} ({figure.chart.type.value} chart of {', '.join(lines)})")


def main(directory: Path) -> None:
    directory.mkdir(parents=True, exist_ok=True)
    story = Story()
    sandbox = Sandbox.create(timeout=300)
    story.tell(f"created sandbox {sandbox.sandbox_id}")
    try:
        sandbox.files.write("weather.csv", WEATHER)
        story.tell("uploaded weather.csv")

        execution = sandbox.run_code(CELL)
        if execution.error:
            sys.exit(execution.error.traceback)
        story.tell("ran a cell that loads it with pandas and plots it with matplotlib")
        for line in execution.logs.stdout:
            print(f"           printed: {line.rstrip()}")
        for number, result in enumerate(execution.results, 1):
            print(f"           result {number}: formats {', '.join(result.formats())}")
        print("\n".join("           " + line for line in (execution.text or "").splitlines()))
        keep_figure(execution, directory)

        sandbox.run_code("weather.mean(numeric_only=True).round(2).to_csv('means.csv', header=False)")
        story.tell("ran a second cell on the same variables; it wrote means.csv")
        means = sandbox.files.read("means.csv")
        story.tell(f"read the file back: {means.split()}")

        shell = sandbox.commands.run("head -n 2 weather.csv | tail -n 1 && uname -sr && whoami")
        story.tell(f"ran a shell command: {shell.stdout.split(chr(10))[:-1]}")
    finally:
        killed = sandbox.kill()
        story.tell(f"killed the sandbox: {killed}")


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "."))
