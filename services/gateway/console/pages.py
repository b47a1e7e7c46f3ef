"""Rendering: templates with autoescape, in the language, zone and theme of a person."""

import json
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any, Final

from jinja2 import ChainableUndefined, Environment, FileSystemLoader
from jinja2.utils import missing
from jinja2_fragments import render_block

from services.gateway.console import vocabulary
from services.gateway.console.addresses import page_address
from services.gateway.console.assets import asset_path
from services.gateway.console.figures import Figures, clipped, defanged, read_moment
from services.gateway.console.languages import LANGUAGES, locale_of, translations_of
from services.gateway.console.live_events import live_subject, live_topics
from services.gateway.console.preferences import DENSITIES, THEMES

FOLDER: Final = Path(__file__).parent / "templates"


class AbsentField(ChainableUndefined):
    """A field that an API has left out, since it has its default: empty wherever it stands.

    A name that the screen has not given to its template stays an error.
    """

    def __str__(self) -> str:
        return "" if self._is_field() else self._fail_with_undefined_error()

    def __bool__(self) -> bool:
        return False if self._is_field() else self._fail_with_undefined_error()

    def __iter__(self) -> Iterator[Any]:
        return iter(()) if self._is_field() else self._fail_with_undefined_error()

    def _is_field(self) -> bool:
        return self._undefined_obj is not missing


@cache
def environment_of(language: str) -> Environment:
    """The templates in one language."""
    return make_environment(language, translations_of(language))


def make_environment(language: str, translations: Any) -> Environment:
    """Build the templates' environment.

    Args:
        language: a tag of `LANGUAGES`.
        translations: its catalog, as `gettext` has it.
    """
    environment = Environment(
        loader=FileSystemLoader(FOLDER),
        autoescape=True,
        undefined=AbsentField,
        extensions=["jinja2.ext.i18n", "jinja2.ext.do"],
        trim_blocks=True,
        lstrip_blocks=True,
    )
    install: Any = vars(environment)["install_gettext_translations"]
    install(translations, newstyle=True)
    figures = Figures(locale_of(language))

    def state(name: Any) -> str:
        text = vocabulary.WORDS.get(str(name))
        return str(translations.gettext(text)) if text else str(name)

    def in_words(message: str) -> str:
        text = vocabulary.sentence_of(message)
        return str(translations.gettext(text)) if text else ""

    environment.filters.update(
        number=figures.number,
        percent=figures.percent,
        points=figures.points,
        size=figures.size,
        duration=figures.duration,
        state=state,
        in_words=in_words,
        defang=defanged,
        clip=clipped,
        as_json=_as_json,
        labelled=lambda names: [(name, state(name)) for name in names],
        zip_same=lambda names: [(name, name) for name in names],
        read_moment=read_moment,
        moment=figures.moment,
        age=lambda moment: figures.age(moment, datetime.now(UTC)),
    )
    environment.globals.update(
        url=page_address,
        asset=lambda name: page_address(asset_path(name)),
        tone=vocabulary.tone,
        live_topics=live_topics,
        live_subject=live_subject,
        LANGUAGES=LANGUAGES,
        THEMES=THEMES,
        DENSITIES=DENSITIES,
    )
    return environment


def _as_json(value: Any) -> str:
    """A document for people: indented, with its characters as they are. Templates escape it."""
    return json.dumps(value, indent=2, ensure_ascii=False, default=str)


def render(
    environment: Environment, template: str, context: Mapping[str, Any], block: str | None = None
) -> str:
    """Render a page, or one block of it.

    Args:
        environment: of the person's language.
        template: the file's name.
        context: what the template shows.
        block: the fragment that a request asks for; None for the whole page.
    """
    if block is not None:
        return str(render_block(environment, template, block, **context))
    return environment.get_template(template).render(**context)
