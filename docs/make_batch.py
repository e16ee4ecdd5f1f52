"""Write the tables of docs/batch.md from the columns: `make docs`."""

from __future__ import annotations

import re
from pathlib import Path

from spotscan.batch import columns

PAGE = Path(__file__).with_name("batch.md")


def batch_markdown(page: str) -> str:
    """The page with its tables of columns as the code has them."""
    for title, table in (("photos", columns.PHOTOS), ("spots", columns.SPOTS), ("failures", columns.FAILURES)):
        rows = "".join(f"| `{column.name}` | {column.meaning} |\n" for column in table)
        head = f"## `{title}.csv`\n"
        pattern = re.escape(head) + r"(.*?)\| column \| meaning \|\n.*?\n(?=\n|\Z)"
        page, n = re.subn(
            pattern, lambda m, h=head, r=rows: f"{h}{m[1]}| column | meaning |\n|---|---|\n{r}", page, flags=re.DOTALL
        )
        assert n == 1, title
    return page


if __name__ == "__main__":
    PAGE.write_text(batch_markdown(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
