"""Pillow images: a value is a PNG; `save("name")` and `show()` display it (contract 5.3).

`save` displays only for the user's own call with a path as text. Libraries save through Pillow as
well (`plt.savefig` does), and their files are not results.
"""

from __future__ import annotations

import functools
import io
import sys
from types import ModuleType
from typing import Any

from IPython.display import display

from soulbox_kernel.display.formatters import formatter, quiet
from soulbox_kernel.imports import when_imported

#: Modes that PNG has. An image of another one is converted.
PNG_MODES = frozenset({"1", "L", "LA", "I", "I;16", "P", "RGB", "RGBA"})
#: Parts of a file's path that mark an installed library.
LIBRARY_FOLDERS = ("/site-packages/", "/dist-packages/")


def install(shell: Any) -> None:
    """Registers Pillow's image class, and its two methods once it is imported."""
    formatter(shell, "image/png").for_type_by_name("PIL.Image", "Image", quiet(png))
    # Pillow offers JPEG for every image as well: a second, lossy copy of the same picture.
    formatter(shell, "image/jpeg").for_type_by_name("PIL.Image", "Image", lambda _image: None)
    when_imported("PIL.Image", _displaying_methods)


def png(image: Any) -> bytes:
    """The image as a PNG file."""
    if image.mode not in PNG_MODES:
        image = image.convert("RGBA" if "A" in image.getbands() else "RGB")
    file = io.BytesIO()
    image.save(file, format="PNG")
    return file.getvalue()


def _displaying_methods(module: ModuleType) -> None:
    image_class: Any = module.Image  # type: ignore[attr-defined]
    original = image_class.save

    @functools.wraps(original)
    def save(self: Any, fp: Any, *arguments: Any, **options: Any) -> None:
        if isinstance(fp, str) and not _is_library(sys._getframe(1).f_code.co_filename):
            display(self)
        original(self, fp, *arguments, **options)

    def show(self: Any, title: str | None = None) -> None:
        """Displays this image as a result and returns at once."""
        display(self)

    image_class.save = save
    image_class.show = show


def _is_library(filename: str) -> bool:
    return any(folder in filename for folder in LIBRARY_FOLDERS)
