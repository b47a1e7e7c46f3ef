"""What the console ships is what its sources make."""

import json
import shutil
import subprocess
from hashlib import sha256
from pathlib import Path

import pytest

from services.gateway.console import assets

ROOM = Path(assets.__file__).parent
HTMX = "a0abb04f2f45a1f89d1d4844023245537e5e6014c87b144553e0607b4cc32130"
"""The SHA-256 of `dist/htmx.min.js` of htmx.org 4.0.1, as npm has it."""


def test_htmx_is_the_pinned_version() -> None:
    assert sha256((ROOM / "assets" / "htmx.js").read_bytes()).hexdigest() == HTMX
    pins = json.loads((ROOM / "islands" / "package.json").read_text())["devDependencies"]
    assert pins["htmx.org"] == "4.0.1"


def test_every_vendored_part_has_its_licence() -> None:
    texts = [path.read_text() for path in (ROOM / "licences").iterdir()]
    assert any("Zero-Clause BSD" in text for text in texts)
    assert any("ISC License" in text for text in texts)


def test_the_bundle_is_what_its_sources_make(tmp_path: Path) -> None:
    """Needs Node and npm with a registry: whoever changes the islands has them."""
    if shutil.which("npm") is None:
        pytest.skip("npm is not installed: the bundle cannot be made anew")
    shutil.copytree(ROOM / "islands", tmp_path / "islands")
    (tmp_path / "assets").mkdir()
    pins = json.loads((ROOM / "islands" / "package.json").read_text())["devDependencies"]
    packages = [f"{name}@{pins[name]}" for name in ("esbuild", "d3-force")]
    install = ["npm", "install", "--no-save", "--no-audit", *packages]
    place = tmp_path / "tool"
    place.mkdir()
    (place / "package.json").write_text('{"name": "tool", "private": true}')
    result = subprocess.run(
        install, cwd=place, capture_output=True, text=True, timeout=90, check=False
    )
    if result.returncode != 0:
        pytest.skip(f"esbuild and d3-force cannot be installed: {result.stderr[-200:]}")
    (tmp_path / "islands" / "node_modules").symlink_to(place / "node_modules")
    scripts = json.loads((ROOM / "islands" / "package.json").read_text())["scripts"]
    for build in scripts.values():
        command = [str(place / "node_modules" / ".bin" / "esbuild"), *build.split()[1:]]
        subprocess.run(
            command, cwd=tmp_path / "islands", check=True, capture_output=True, timeout=60
        )
    for built in (tmp_path / "assets").iterdir():
        assert built.read_bytes() == (ROOM / "assets" / built.name).read_bytes()
    assert len(list((tmp_path / "assets").iterdir())) == len(scripts)
