"""The pages of docs/operations run: every Python block, in order, prints exactly what the text block under it says."""

import contextlib
import io
import re
from pathlib import Path

import pytest

FOLDER = Path(__file__).parents[2] / "docs" / "operations"
PAGES = sorted(FOLDER.glob("*.md"))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_page_prints_what_it_says(page):
    text = page.read_text(encoding="utf-8")
    blocks = re.findall(r"```python\n(.*?)```\n\n```text\n(.*?)```", text, flags=re.DOTALL)
    assert blocks
    assert len(blocks) == text.count("```python\n"), "every Python block is followed by what it prints"
    names = {}
    for code, said in blocks:
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed):
            exec(compile(code, str(page), "exec"), names)  # noqa: S102 - the manual's own code
        assert printed.getvalue() == said, code


def test_every_page_is_linked_from_the_index():
    index = (FOLDER / "README.md").read_text(encoding="utf-8")
    assert [page.name for page in PAGES if page.name != "README.md" and f"]({page.name})" not in index] == []
