"""Tests of the house itself: layers, what is loaded, registry, documents, sample, package."""

import ast
import importlib.util
import io
import re
import runpy
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from PIL import Image

import spotscan
from spotscan.cli import _parser
from spotscan.cli_batch import SOME_FAILED
from spotscan.flags import FLAGS

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "spotscan"

# The layers: what each module of the package may import of it. A name with `*` is a family of modules.
GROUND = {"_version", "errors", "flags", "types"}
TOOLS = {"colour", "geometry", "regions", "view", "card_layout", "crops"}
STAGES = {"photo", "references", "skin", "quality", "segment", "measure", "density"}
PARTS = {"lettering": "skin"}  # parts of a stage under a name of their own
LAYERS: dict[str, set[str]] = {
    **{name: set() for name in GROUND},
    **dict.fromkeys(TOOLS, GROUND | {"colour"}),
    **dict.fromkeys(STAGES, GROUND | TOOLS),  # a stage never imports another stage
    # Parts of a stage, `<stage>/` or `<stage>_*`, belong to it alone.
    **{f"{stage}*": GROUND | TOOLS | {f"{stage}*"} for stage in STAGES},
    "findings": GROUND,
    # The network: its weights, what it says of a mark, and why.
    "weights": GROUND,
    "alike": GROUND | TOOLS,
    "classes": GROUND | TOOLS | {"weights", "alike", "findings"},
    "occlusion": GROUND | TOOLS | {"weights", "classes"},
    "boxes": GROUND | TOOLS | {"photo", "classes", "occlusion"},
    # Making and judging it: torch and its like are imported here alone.
    "learn*": GROUND | TOOLS | {"learn*", "photo", "segment", "findings", "weights", "alike", "classes", "synth*"},
    "rules*": GROUND | {"rules*"},  # the triage: data, and an engine that knows no medicine
    # Pictures and pages of a scan, each from those before it.
    "groups": GROUND | TOOLS,
    "pen": GROUND | TOOLS | {"groups"},
    "overlay": GROUND | TOOLS | {"findings", "groups", "pen"},
    "close_up": GROUND | TOOLS | {"groups", "pen"},
    "heat_map": GROUND | TOOLS | {"groups", "pen"},
    "charts": GROUND | {"groups"},
    "drawings": GROUND,
    "export": GROUND | {"findings", "groups", "overlay"},
    "report*": GROUND
    | {"report*", "groups", "close_up", "heat_map", "charts", "drawings", "overlay", "export", "rules*"},
    "card": GROUND | TOOLS,
    "pipeline": GROUND | TOOLS | STAGES | {"classes", "findings", "rules*"},
    "revision": GROUND | TOOLS | STAGES | {"pipeline", "references*", "segment*"},
    # A folder of photos: files, processes and tables around the one scan.
    "batch*": GROUND | {"batch*", "pipeline", "photo", "references", "export", "findings", "rules*", "weights"},
    "cli": GROUND
    | {"pipeline", "export", "report*", "card", "rules*", "cli_app", "cli_batch", "cli_classify", "cli_learn"}
    | {"cli_references", "cli_triage"},
    "cli_app": GROUND | {"cli_triage", "page*"},
    "cli_batch": GROUND | {"batch*", "cli_triage"},
    "cli_classify": GROUND | {"boxes", "export", "weights"},
    "cli_learn": GROUND | {"learn*"},
    "cli_references": GROUND | {"photo", "references", "references*", "overlay"},
    "cli_triage": GROUND | {"rules*"},
    "__init__": GROUND | {"boxes", "pipeline", "revision", "rules*"},
    "__main__": {"cli"},
    # The page calls the library; nothing imports the page, and Streamlit is imported in it alone.
    "page*": GROUND
    | {"page*", "__init__", "findings", "groups", "close_up", "heat_map", "charts", "drawings", "overlay", "export"}
    | {"report*", "card", "photo", "references*", "revision", "rules*", "cli_triage", "crops", "occlusion"},
    "synth*": GROUND | TOOLS | {"synth*"},  # draws truth: nothing of the product imports it
}
# `Scan.to_dict` is a convenience of the value: it calls the exporter, imported on the call.
UPWARD = {("types", "export")}
# Too slow to import, or of no business in the library.
FOREIGN = {
    "torch",
    "streamlit",
    "sklearn",
    "pandas",
    "matplotlib",
    "pytest",
    "hypothesis",
    "click",
    "requests",
}


def modules() -> dict[str, Path]:
    """Name without `spotscan.` -> file."""
    found = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        parts = path.relative_to(PACKAGE).with_suffix("").parts
        name = ".".join(parts if len(parts) == 1 or parts[-1] != "__init__" else parts[:-1])
        found[name] = path
    return found


def imports(path: Path) -> set[str]:
    """Full names of everything imported anywhere in a file, inside functions too."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path.name}: relative imports hide the layer"
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
    return names


def family(name: str) -> str:
    """The row of the table a module belongs to."""
    stage = PARTS.get(name) or name.replace(".", "_").partition("_")[0]
    if stage in STAGES and name != stage:
        return f"{stage}*"
    return f"{stage}*" if stage in ("synth", "rules", "batch", "learn", "page", "report") else name


def own_imports(path: Path) -> set[str]:
    """Modules of the package that a file imports."""
    known = modules()
    found = set()
    for full in imports(path):
        if full.partition(".")[0] == "spotscan":
            parts = full.split(".")[1:]
            # `spotscan.a.b` is the module a.b where there is one, else the name b of the module a.
            module = next((m for m in (".".join(parts[:n]) for n in (2, 1)) if m in known), "__init__")
            found.add(module)
    return found


def test_every_module_has_its_layer():
    assert {family(name) for name in modules()} <= set(LAYERS)


@pytest.mark.parametrize("name", list(modules()))
def test_imports_run_downward_only(name):
    allowed = LAYERS[family(name)]
    if name in STAGES:
        allowed = allowed | {f"{name}*"}
    upward = {other for other in own_imports(modules()[name]) if family(other) not in allowed}
    assert {(name, other) for other in upward} <= UPWARD


@pytest.mark.parametrize("name", list(modules()))
def test_nothing_slow_or_foreign_is_imported(name):
    top = {full.partition(".")[0] for full in imports(modules()[name])}
    allowed = {"page*": {"streamlit"}, "learn*": {"torch", "sklearn", "matplotlib"}}.get(family(name), set())
    assert not top & (FOREIGN - allowed)


def test_third_party_imports_are_declared():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = project["optional-dependencies"]
    declared = " ".join(project["dependencies"])
    with_extras = {
        family: " ".join([declared, *(p for extra in extras_of for p in extras[extra])])
        for family, extras_of in {"batch*": ("batch", "cluster"), "learn*": ("train",), "page*": ("app",)}.items()
    }
    package = {
        "cv2": "opencv-python-headless", "PIL": "pillow", "skimage": "scikit-image", "numpy": "numpy",
        "scipy": "scipy", "reportlab": "reportlab", "pillow_heif": "pillow-heif",
        "yaml": "pyyaml", "pyarrow": "pyarrow", "rich": "rich", "fsspec": "fsspec", "distributed": "distributed",
        "streamlit": "streamlit", "starlette": "streamlit",  # its server
        "onnxruntime": "onnxruntime", "torch": "torch", "torchvision": "torchvision", "onnx": "onnx",
        "sklearn": "scikit-learn", "matplotlib": "matplotlib",
    }  # fmt: skip
    for name, path in modules().items():
        third = {full.partition(".")[0] for full in imports(path)} - set(sys.stdlib_module_names) - {"spotscan"}
        assert third <= set(package)
        there = with_extras.get(family(name), declared)  # a bare install has no batch, no page, and trains nothing
        assert all(package[module] in there for module in third), name


def loaded_by(code: str) -> set[str]:
    """Top-level modules that a fresh interpreter holds after running `code`."""
    script = f"{code}\nimport sys\nprint(*{{m.partition('.')[0] for m in sys.modules}})"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, cwd=ROOT)
    return set(done.stdout.splitlines()[-1].split())


@pytest.mark.parametrize(
    "code",
    [
        "import spotscan",
        "from spotscan.cli import main\ntry: main(['--help'])\nexcept SystemExit: pass",
        "from spotscan.cli import main\ntry: main(['scan', '--help'])\nexcept SystemExit: pass",
        "from spotscan.cli import main\ntry: main(['batch', '--help'])\nexcept SystemExit: pass",
    ],
)
def test_the_start_loads_nothing_heavy(code):
    heavy = {"numpy", "cv2", "scipy", "skimage", "PIL", "reportlab", "pyarrow", "rich", "distributed", *FOREIGN}
    assert not loaded_by(code) & heavy


def test_a_whole_scan_loads_neither_extras_nor_what_is_slow():
    code = "import spotscan\nspotscan.scan('examples/sample.jpg').to_dict()"
    assert not loaded_by(code) & {"reportlab", *FOREIGN}


def test_flags_in_the_code_are_those_of_the_registry():
    # Raised flags are strings; what is no flag but looks like one is told apart by the code around it.
    raised = set()
    for name in STAGES | {"findings"}:
        paths = [path for module, path in modules().items() if family(module).rstrip("*") == name]
        for path in paths:
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                raised |= _flag_strings(node)
    assert raised <= set(FLAGS), raised - set(FLAGS)
    assert len(raised) > 10  # the test sees them


def _flag_strings(node: ast.AST) -> set[str]:
    """Strings that a statement treats as flags: put into something so called, or sought in one."""

    def strings(*parts: ast.AST) -> set[str]:
        inner = (n for part in parts for n in ast.walk(part))
        return {n.value for n in inner if isinstance(n, ast.Constant) and isinstance(n.value, str)}

    def named(part: ast.AST) -> bool:
        words = {getattr(n, "id", getattr(n, "attr", "")) for n in ast.walk(part)}
        return bool(words & {"flags", "raised", "names", "_POOR"})

    if isinstance(node, ast.FunctionDef) and node.name.startswith("_raised"):
        return strings(*(n for n in ast.walk(node) if isinstance(n, ast.Return)))
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and named(node.func.value):
        return strings(*node.args) if node.func.attr in ("add", "append", "update", "extend") else set()
    if isinstance(node, ast.Assign | ast.AugAssign | ast.AnnAssign):
        targets = node.targets if isinstance(node, ast.Assign) else [node.target]
        if any(named(t) for t in targets) and node.value is not None:
            return {s for s in strings(node.value) if re.fullmatch(r"[a-z][a-z_]+", s)}
    if isinstance(node, ast.Compare) and any(named(c) for c in node.comparators):
        return strings(node.left)
    return set()


def test_every_flag_says_what_was_seen():
    for flag in FLAGS.values():
        assert flag.meaning.endswith("."), flag.name
        assert "|" not in flag.meaning + flag.todo  # they stand in tables


def test_the_page_of_flags_is_current():
    written = (ROOT / "docs" / "flags.md").read_text(encoding="utf-8")
    page = runpy.run_path(str(ROOT / "docs" / "make_flags.py"))["flags_markdown"]()
    assert written == page, "run `make docs`"


def test_the_page_of_rules_is_current():
    from spotscan.rules.listing import rules_markdown
    from spotscan.rules.loading import rulebook

    written = (ROOT / "docs" / "rules.md").read_text(encoding="utf-8")
    assert written == rules_markdown(rulebook()), "run `make docs`"


def test_the_page_of_the_batch_is_current():
    page = (ROOT / "docs" / "batch.md").read_text(encoding="utf-8")
    assert runpy.run_path(str(ROOT / "docs" / "make_batch.py"))["batch_markdown"](page) == page, "run `make docs`"


def commands() -> dict[str, set[str]]:
    """Each command of the command line -> its options and positionals."""
    (sub,) = (action for action in _parser()._actions if hasattr(action, "choices") and action.choices)
    return {
        name: {s for a in parser._actions for s in (a.option_strings or [a.metavar])}
        for name, parser in sub.choices.items()
    }


def code_parts(text: str) -> list[str]:
    """Everything that is set as code in a document."""
    return [a or b for a, b in re.findall(r"```sh\n(.+?)```|`([^`\n]+)`", text, re.DOTALL)]


@pytest.mark.parametrize(
    "document",
    [
        "README.md",
        "docs/conventions.md",
        "docs/batch.md",
        "docs/scaling.md",
        "docs/deploy.md",
        "CONTRIBUTING.md",
        "examples/README.md",
    ],
)
def test_documents_use_only_commands_and_options_that_exist(document):
    known = commands()
    text = (ROOT / document).read_text(encoding="utf-8")
    for line in [*code_parts(text), *re.findall(r"^    (.+)$", text, re.MULTILINE)]:
        for command, rest in re.findall(r"\bspotscan (\w+)((?: [^&|\n]+)?)", line):
            assert command in known, line
            assert set(re.findall(r"(?<=\s)--[a-z-]+", rest)) <= known[command], line
    single = {part.split()[0] for part in code_parts(text) if part.startswith("--")}
    assert single <= set().union(*known.values()), document


def test_the_readme_tells_of_every_command_option_and_reference():
    from spotscan.references import allowed

    text = (ROOT / "README.md").read_text(encoding="utf-8")
    silent = {"-h", "--help", "PHOTO", "FOLDER", "ANSWERS", "CONFIG", "check|list", "what"}
    for command, options in commands().items():
        assert f"spotscan {command}" in text
        for option in options - silent:
            assert option in text, option
    for reference in allowed().split(", "):
        assert f"`{reference}`" in text


def test_the_readme_has_its_two_commands_on_one_line_each():
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    found = re.findall(r"<!-- command: (\w+) -->\n```sh\n(.+)\n```", text)
    assert [name for name, _ in found] == ["scan", "test"]
    assert all(line.startswith("python3 -m venv .venv && ") for _, line in found)


@pytest.mark.parametrize("document", sorted(p.relative_to(ROOT).as_posix() for p in ROOT.glob("*.md")) +
                         sorted(p.relative_to(ROOT).as_posix() for p in ROOT.glob("docs/*.md")))  # fmt: skip
def test_links_in_documents_lead_somewhere(document):
    path = ROOT / document
    for target in re.findall(r"\]\(([^)#\s]+)[^)]*\)", path.read_text(encoding="utf-8")):
        if not target.startswith("http"):
            assert (path.parent / target).exists(), f"{document}: {target}"


def test_exit_codes_of_the_document_are_those_of_the_errors():
    text = (ROOT / "docs" / "conventions.md").read_text(encoding="utf-8")
    listed = {int(code) for code in re.findall(r"^\| (\d) \|", text, re.MULTILINE)}
    classes = [spotscan.UsageError, spotscan.PhotoError, spotscan.ReferenceNotFoundError, spotscan.AnswersError]
    assert listed == {0, 1, SOME_FAILED} | {c.exit_code for c in classes}


def test_make_help_lists_every_target():
    text = (ROOT / "Makefile").read_text(encoding="utf-8")
    targets = re.findall(r"^([a-z]+):", text, re.MULTILINE)
    assert {"help", "check", "test", "bench"} <= set(targets)
    assert re.findall(r"^([a-z]+):.*## \S", text, re.MULTILINE) == targets


def test_the_sample_tells_nothing_but_pixels():
    data = (ROOT / "examples" / "sample.jpg").read_bytes()
    with Image.open(io.BytesIO(data)) as image:
        assert not dict(image.getexif())
        assert set(image.info) <= {"jfif", "jfif_version", "jfif_unit", "jfif_density"}
        assert image.size == (1500, 2000)
    assert not re.search(rb"Exif|http|Photoshop|GPS", data)


def test_pictures_are_small_and_tell_nothing_but_pixels():
    pictures = sorted((ROOT / "docs" / "figures").glob("*"))
    used = " ".join((ROOT / name).read_text(encoding="utf-8") for name in ("README.md", "docs/method.md"))
    assert len(pictures) >= 6
    for picture in pictures:
        assert picture.stat().st_size < 150_000, picture.name
        assert picture.name in used, f"{picture.name} is shown nowhere"
        with Image.open(picture) as image:
            assert not dict(image.getexif())


def test_the_sample_is_what_its_script_draws():
    # Other versions of OpenCV or NumPy may round otherwise: the same picture, not the same bytes.
    script = runpy.run_path(str(ROOT / "examples" / "make_sample.py"))
    import cv2
    import numpy as np

    drawn = script["sample_scene"]().rgb
    stored = cv2.imread(str(ROOT / "examples" / "sample.jpg"), cv2.IMREAD_COLOR_RGB)
    assert np.abs(drawn.astype(float) - stored).mean() < 3  # JPEG's own loss is about 2


def test_the_package_is_complete():
    tools = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["setuptools"]
    folders = {p.parent.relative_to(ROOT).as_posix().replace("/", ".") for p in PACKAGE.rglob("__init__.py")}
    assert set(tools["packages"]) == folders | {"spotscan.models"}
    assert tools["package-dir"] == {"spotscan.models": "models"}
    assert {p.name for p in ROOT.glob("models/*/*")} >= {"weights.onnx", "config.json", "card.md"}
    assert (PACKAGE / "py.typed").exists()
    data = {p for p in PACKAGE.rglob("*") if p.is_file() and p.suffix not in (".py", ".pyc")}
    packed = {
        found
        for package, patterns in tools["package-data"].items()
        for pattern in patterns
        for found in (ROOT / package.replace(".", "/")).glob(pattern)
    }
    assert data == packed, "a data file would be missing from the wheel"


def test_the_licence_is_whole():
    text = (ROOT / "LICENSE").read_text(encoding="utf-8")
    assert "Apache License" in text
    assert "END OF TERMS AND CONDITIONS" in text


@pytest.mark.parametrize("name", ["spotscan", "spotscan.references"])
def test_version_and_packages_are_importable(name):
    assert importlib.util.find_spec(name) is not None
    assert re.fullmatch(r"\d+\.\d+\.\d+\S*", spotscan.__version__)
