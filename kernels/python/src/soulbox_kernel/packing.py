"""How messages become JSON: as jupyter_client does it, and never failing on a lone surrogate.

`print("\\ud800")` is legal Python, and such text arrives from `os.listdir` and from broken input.
It has no UTF-8, but it has JSON: the escape that Jupyter's JavaScript clients read. Text of streams
has a path of its own, since it is nearly all that a kernel says when it says much.
"""

from __future__ import annotations

import json
from json.encoder import encode_basestring_ascii
from typing import Any

from jupyter_client.jsonutil import json_default
from jupyter_client.session import json_packer


def pack(content: Any) -> bytes:
    """JSON in UTF-8, or with escapes where there is no UTF-8."""
    try:
        text = json.dumps(content, default=json_default, ensure_ascii=False, allow_nan=False)
        return text.encode()
    except UnicodeEncodeError:
        return json.dumps(content, default=json_default, allow_nan=False).encode()
    except (TypeError, ValueError):
        # It cleans what is no JSON. Not asked first, for it takes any exception for that, even
        # one of a signal's handler.
        return json_packer(content)


def stream_content(name: str, text: str) -> bytes:
    """Content of a `stream` message."""
    # ASCII with escapes: faster than a pass through UTF-8 for most text, and it cannot fail.
    return f'{{"name": "{name}", "text": {encode_basestring_ascii(text)}}}'.encode("ascii")
