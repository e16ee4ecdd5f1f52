"""What must hold where only the base dependencies are installed. Run by `.ci/run`."""

import importlib.util
import json
import subprocess
import sys

EXTRAS = ("sklearn", "pandas", "matplotlib", "torch", "streamlit", "pytest", "pyarrow", "distributed")
SPOTSCAN = [sys.executable, "-m", "spotscan"]


def run(*arguments: str, code: int = 0) -> str:
    """Run the command line; its exit code must be `code`, and a wrong input one line without traceback."""
    done = subprocess.run([*SPOTSCAN, *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == code, (arguments, done.returncode, done.stderr)
    if code == 3:
        assert done.stderr.startswith("error: "), done.stderr
        assert done.stderr.count("\n") == 1, done.stderr
    assert "Traceback" not in done.stderr, done.stderr
    return done.stdout


def main() -> None:
    """All checks."""
    present = [name for name in EXTRAS if importlib.util.find_spec(name)]
    assert not present, f"not a bare install: {present}"
    found = json.loads(run("scan", "examples/sample.jpg", "--json", "-"))
    assert found["schema"] == "spotscan/scan/1"
    assert found["scale"]["reference"] == "auto"
    assert found["findings"]["count"] > 0
    run("--help")
    run("scan", "no-such-photo.jpg", code=3)
    run("scan", "README.md", code=3)
    run("scan", "examples/sample.jpg", "--reference", "furlong", code=2)
    run("scan", code=2)
    run("batch", "examples", "--out", "batch", code=2)
    run("app", code=2)
    run("card", "--out", "card.pdf")
    print("ok: scans without the extras, and none of them is installed")


if __name__ == "__main__":
    main()
