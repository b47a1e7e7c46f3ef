"""docs/enrichers.md: its table matches the code, and its tutorial leads to a working enricher.

The tutorial is carried out word for word in a copy of the tree: the test writes its files, applies
its changes and runs its commands in a shell.
"""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from services.observables.providers import table

ROOT = Path(__file__).parents[3]
DOCUMENT = ROOT / "docs" / "enrichers.md"
COPIED = ("services", "shared", "docs", "tests/observables/providers")
STEP = re.compile(
    r"(?:^`(?P<name>[^`\n]+)`:\n\n)?^```(?P<kind>python|toml|diff|console)\n(?P<text>.*?)^```$",
    re.MULTILINE | re.DOTALL,
)
SITE = "installed"
"""The target of `pip install`, instead of the interpreter that runs this test."""


@dataclass
class Step:
    kind: str
    name: str | None
    text: str


def tutorial() -> Iterator[Step]:
    section = DOCUMENT.read_text().partition("\n## Write your own\n")[2]
    for match in STEP.finditer(section):
        yield Step(match["kind"], match["name"], match["text"])


@dataclass
class Workplace:
    """A copy of the tree in which the tutorial is followed."""

    root: Path
    output: str = ""

    def follow(self, steps: list[Step]) -> None:
        for step in steps:
            if step.kind == "console":
                commands = [line.removeprefix("$ ") for line in step.text.splitlines()]
                for command in commands:
                    done = self.run(command)
                    assert done.returncode == 0, f"{command}\n{done.stdout}{done.stderr}"
                    self.output += done.stdout
            elif step.kind == "diff":
                self.change(step)
            else:
                assert step.name is not None, f"no file name before: {step.text[:60]}"
                (self.root / step.name).write_text(step.text)

    def change(self, step: Step) -> None:
        path = self.root / str(step.name)
        text = path.read_text()
        for hunk in re.split(r"^@@.*\n", step.text, flags=re.MULTILINE)[1:]:
            lines = hunk.splitlines(keepends=True)
            before = "".join(line[1:] for line in lines if line[0] in " -")
            after = "".join(line[1:] for line in lines if line[0] in " +")
            assert text.count(before) == 1, (
                f"{step.name} does not have exactly one place for\n{hunk}"
            )
            text = text.replace(before, after)
        path.write_text(text)

    def run(self, command: str) -> subprocess.CompletedProcess[str]:
        environ = {
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
            "PYTHONPATH": os.pathsep.join((str(self.root), str(self.root.parent / SITE))),
            "PIP_TARGET": str(self.root.parent / SITE),
            "PIP_NO_INDEX": "1",
            # "false" means no isolation to pip.
            "PIP_NO_BUILD_ISOLATION": "false",
            "PIP_DISABLE_PIP_VERSION_CHECK": "1",
            "HOME": str(self.root.parent),
        }
        return subprocess.run(
            ["bash", "-euc", command],
            cwd=self.root,
            env=environ,
            capture_output=True,
            text=True,
            timeout=100,
            check=False,
        )


@pytest.fixture
def workplace(tmp_path: Path) -> Workplace:
    root = tmp_path / "sentineliq"
    for part in COPIED:
        shutil.copytree(
            ROOT / part, root / part, ignore=shutil.ignore_patterns("__pycache__", "catalog")
        )
    shutil.copy(ROOT / "pyproject.toml", root)
    return Workplace(root)


def test_the_table_is_the_code() -> None:
    text = DOCUMENT.read_text()
    assert text == table.renew(text), (
        "run: python -m services.observables.providers.table docs/enrichers.md"
    )


@pytest.mark.slow
@pytest.mark.timeout(240)
def test_the_tutorial_leads_to_an_enricher_that_works(workplace: Workplace) -> None:
    steps = list(tutorial())
    assert [step.kind for step in steps] == [
        "python", "diff", "python", "console", "console", "toml", "console",
    ]  # fmt: skip
    in_tree = steps[:4]
    packaged = steps[4:]
    workplace.follow(in_tree)
    assert re.search(r"\d\d passed", workplace.output), workplace.output
    assert (
        "[Lantern](https://lantern.example/docs#addresses)"
        in (workplace.root / "docs/enrichers.md").read_text()
    )
    workplace.follow(packaged[:1])
    # The user of a package has nothing of it in the tree.
    (workplace.root / "services/observables/providers/lantern.py").unlink()
    shutil.copy(
        ROOT / "services/observables/providers/registry.py",
        workplace.root / "services/observables/providers",
    )
    workplace.output = ""
    workplace.follow(packaged[1:])
    assert re.search(r"\d\d passed", workplace.output), workplace.output
    assert workplace.output.endswith("Lantern\n")


@pytest.mark.parametrize(
    ("file", "right", "wrong"),
    [
        ("lantern.py", "/v1/addresses/{quote_segment", "/v2/addresses/{quote_segment"),
        ("lantern.py", "Weight(0.6,", "Weight(0.7,"),
        ("lantern.py", "{Type.IPV4, Type.IPV6}", "{Type.DOMAIN}"),
        ("test_lantern.py", 'answer = {\n        "knocks": 12', 'answer = {\n        "knocks": 13'),
        ("test_lantern.py", "enricher = Lantern", "enricher = RemoteContract"),
    ],
)
def test_a_broken_block_is_noticed(workplace: Workplace, file: str, right: str, wrong: str) -> None:
    steps = list(tutorial())[:3]
    (broken,) = (step for step in steps if Path(str(step.name)).name == file)
    assert broken.text.count(right) == 1
    broken.text = broken.text.replace(right, wrong)
    workplace.follow(steps)
    done = workplace.run("python -m pytest tests/observables/providers/test_lantern.py")
    assert done.returncode == 1, done.stdout
    assert "failed" in done.stdout
