"""Write docs/rules.md from the rules themselves: what `spotscan rules list` prints.

python docs/make_rules.py
"""

from pathlib import Path

from spotscan.rules.listing import rules_markdown
from spotscan.rules.loading import rulebook

TARGET = Path(__file__).resolve().with_name("rules.md")


if __name__ == "__main__":
    TARGET.write_text(rules_markdown(rulebook()), encoding="utf-8")
    print(f"wrote {TARGET}")
