"""The figures of the containers, as a page."""

from tests.containers.images import ROOT, Image
from tests.containers.installation import Containers

PAGE = ROOT / "docs" / "containers.md"
_MARK = "<!-- figures -->"
_HEAD = (
    "| service | image (MB) | user | ready after (s) | memory at rest (MB) | of at most"
    " | stops within (s) | exit code |\n|---|---|---|---|---|---|---|---|\n"
)


def figures_table(containers: Containers) -> str:
    """A row for each service that stays."""
    return _HEAD + "".join(_row(containers, name) for name in containers.resident)


def _row(containers: Containers, name: str) -> str:
    service = containers.services[name]
    image: Image = containers.images[service["image"]]
    figures = containers.figures[name]
    cells = (
        f"`{name}`",
        f"{image.size / 1e6:.0f}",
        service["user"],
        f"{figures.ready_seconds or 0:.1f}",
        f"{(figures.memory_bytes or 0) / 1e6:.0f}",
        str(service["deploy"]["resources"]["limits"]["memory"]),
        f"{figures.stop_seconds or 0:.1f}",
        str(figures.exit_code),
    )
    return f"| {' | '.join(cells)} |\n"


def write_page(table: str) -> None:
    """Replace the table of the page."""
    head, _, rest = PAGE.read_text().partition(_MARK)
    _, _, tail = rest.partition(_MARK)
    PAGE.write_text(f"{head}{_MARK}\n\n{table}\n{_MARK}{tail}")
