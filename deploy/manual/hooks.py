"""What MkDocs does beside its own work: pages that have no file, and links to the sources."""

import re
from pathlib import Path, PurePosixPath
from posixpath import normpath
from typing import Any, Final

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT: Final = Path(__file__).parents[2]
_LINK: Final = re.compile(r"\[((?:[^\[\]]|\[[^\]]*\])*)\]\(([^()\s]+)\)")
_HEADING: Final = re.compile(r"^# (.+)$", re.MULTILINE)
_FOLDER: Final = "docs/"


def on_files(files: Files, *, config: MkDocsConfig) -> Files:
    """Add the first page, which is the README, and a list of the decisions."""
    text = (ROOT / "README.md").read_text().replace(f"]({_FOLDER}", "](")
    files.append(
        File.generated(config, "index.md", content=text.replace("](adr/)", "](adr/index.md)"))
    )
    decisions = sorted((ROOT / "docs" / "adr").glob("*.md"))
    lines = [f"- [{_title(path)}]({path.name})" for path in decisions]
    content = "\n".join(["# Decisions", "", *lines, ""])
    files.append(File.generated(config, "adr/index.md", content=content))
    return files


def on_page_markdown(markdown: str, *, page: Page, files: Files, **_: Any) -> str:
    """Name the files of the sources that a page leads to: they are no pages of the manual."""
    folder = PurePosixPath(page.file.src_uri).parent

    def replaced(link: re.Match[str]) -> str:
        text, target = link.groups()
        path = target.partition("#")[0]
        if not path or "://" in path or path.startswith("mailto:"):
            return link[0]
        place = normpath(str(folder / path))
        if files.get_file_from_path(place) is not None:
            return link[0]
        if place == "adr":
            return f"[{text}]({'../' * len(folder.parts[1:])}adr/index.md)"
        source = ROOT / (place.removeprefix("../") if place.startswith("../") else place)
        return f"{text} (`{source.relative_to(ROOT)}`)" if source.exists() else link[0]

    return _LINK.sub(replaced, markdown)


def _title(path: Path) -> str:
    heading = _HEADING.search(path.read_text())
    return heading[1] if heading else path.stem
