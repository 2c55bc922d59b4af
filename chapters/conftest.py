"""nbval looks at no picture, and without a mark at nothing.

Here each cell must show the same kinds of output as are stored.
"""

import base64
import io
from collections import Counter

import pytest
from PIL import Image

# A live widget is stored without its view, which is blank without a kernel.
NOT_STORED = {"application/vnd.jupyter.widget-view+json"}


def kinds(outputs):
    """How many outputs there are of each kind: image/png, stdout, stderr..."""
    found = Counter()
    for output in outputs:
        if output["output_type"] == "stream":
            found[output["name"]] = 1  # one stream may come in many pieces
        else:
            found.update(output.get("data", {}).keys() - NOT_STORED)
    return found


def is_blank(png):
    """Whether a picture has one colour only."""
    picture = Image.open(io.BytesIO(base64.b64decode(png))).convert("RGB")
    return all(low == high for low, high in picture.getextrema())


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item):
    result = yield
    if type(item).__name__ == "IPyNbCell":
        stored, shown = kinds(item.cell.outputs), kinds(item.test_outputs)
        assert shown == stored, (
            f"stored are {dict(stored)}, run again the cell shows {dict(shown)}"
        )
        pictures = [
            output["data"]["image/png"]
            for output in item.test_outputs
            if "image/png" in output.get("data", {})
        ]
        assert not any(map(is_blank, pictures)), (
            "run again, the cell draws a blank picture"
        )
    return result
