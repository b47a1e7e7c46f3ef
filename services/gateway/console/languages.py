"""The languages of the console: catalogs of gettext, and the choice among them."""

import gettext
from functools import cache
from io import BytesIO
from pathlib import Path
from typing import Final

from babel import Locale, negotiate_locale
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po

LANGUAGES: Final = {"en": "English", "pt-BR": "Português (Brasil)"}
"""By tag, each language's name for itself."""
_FOLDER: Final = Path(__file__).parent / "locale"


def choose_language(preference: str, accepted: str) -> str:
    """Choose a language.

    Args:
        preference: the tag that the person has chosen; may be any text.
        accepted: the header `Accept-Language`.
    """
    if preference in LANGUAGES:
        return preference
    wishes = [part.partition(";")[0].strip() for part in accepted[:500].split(",")]
    if any(wish.lower().startswith("pt") for wish in wishes[:1]):
        return "pt-BR"
    return negotiate_locale(wishes, list(LANGUAGES), sep="-") or "en"


@cache
def translations_of(language: str) -> gettext.NullTranslations:
    """The catalog of a language; English is the language of the source."""
    file = _FOLDER / f"{language}.po"
    if not file.exists():
        return gettext.NullTranslations()
    compiled = BytesIO()
    with file.open("rb") as source:
        write_mo(compiled, read_po(source))
    compiled.seek(0)
    return gettext.GNUTranslations(compiled)


@cache
def locale_of(language: str) -> Locale:
    """The rules of a language for numbers and times."""
    return Locale.parse(language, sep="-")
