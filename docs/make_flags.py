"""Write docs/flags.md from the registry of flags, `spotscan.flags`.

python docs/make_flags.py
"""

from pathlib import Path

from spotscan.flags import FLAGS, Flag

TARGET = Path(__file__).resolve().with_name("flags.md")
_HEAD = """# Flags

Written from `spotscan/flags.py` by `make docs`; a test checks that it is current. Do not edit.

A flag says what is wrong and what you can do about it. An **unusable** one means that nothing found in the
photo should be believed.
"""
_TITLES = {
    "photo": "Of the photo: `quality.flags`",
    "scale": "Of the reference: `quality.flags` too",
    "spot": "Of one mark: `spots[].flags`",
}


def flags_markdown() -> str:
    """The page."""
    parts = [_HEAD]
    for concerns, title in _TITLES.items():
        rows = [_row(flag) for flag in FLAGS.values() if flag.concerns == concerns]
        parts.append(f"## {title}\n\n| flag | meaning | what to do |\n|---|---|---|\n" + "\n".join(rows) + "\n")
    return "\n".join(parts)


def _row(flag: Flag) -> str:
    grave = " **Unusable.**" if flag.unusable else ""
    return f"| `{flag.name}` | {flag.meaning}{grave} | {flag.todo or '-'} |"


if __name__ == "__main__":
    TARGET.write_text(flags_markdown(), encoding="utf-8")
    print(f"wrote {TARGET}")
