"""Texts that are not in Unicode: read by the evidence of their letters, or not guessed at all."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.feeds.formats.csv import CsvFormat
from services.feeds.formats.json import JsonFormat
from services.feeds.formats.legacy_encodings import guess_legacy_encoding
from services.feeds.formats.report import ProseFormat
from tests.feeds.formats.contract import parse

TEXTS = {
    "German": "Dom\u00e4ne;G\u00fcltig bis\nb\u00f6se-bank.de;Stra\u00dfe und Gr\u00f6\u00dfe\n",
    "French": "premi\u00e8re d\u00e9tection \u00e0 Gen\u00e8ve, fran\u00e7ais\n",
    "Portuguese": "detec\u00e7\u00e3o de a\u00e7\u00f5es maliciosas, endere\u00e7o\n",
    "Spanish": "direcci\u00f3n, a\u00f1o, v\u00edctima\n",
    "Czech": "\u0161kodliv\u00e1 adresa, p\u0159\u00edklad, \u017e\u00e1dn\u00fd \u010das\n",
    "Hungarian": "\u0151r\u00fclt fert\u0151z\u0151 t\u0171z \u00f6r\u00f6m\n",
    "Polish": "z\u0142o\u015bliwy adres, \u017c\u00f3\u0142w\n",
    "Russian": "\u0432\u0440\u0435\u0434\u043d\u044b\u0439 \u0430\u0434\u0440\u0435\u0441\n",
    "Turkish": "k\u00f6t\u00fc ama\u00e7l\u0131 yaz\u0131l\u0131m \u015f\u00fcpheli\n",
    "Japanese": "\u653b\u6483\u5143\u306e\u30a2\u30c9\u30ec\u30b9\u3067\u3059\n",
    "Chinese": "\u6076\u610f\u5730\u5740\u57df\u540d\n",
}
CODECS = (
    "cp1252",
    "latin-1",
    "cp850",
    "cp437",
    "cp1250",
    "cp1251",
    "cp1254",
    "koi8-r",
    "cp932",
    "euc-jp",
    "gbk",
)


@given(st.sampled_from(sorted(TEXTS)), st.sampled_from(CODECS), st.integers(1, 3))
def test_a_guess_gives_the_letters_that_were_written(language, codec, count):
    """At 929fb88 all of them were lost; a guess is right, or not made."""
    text = TEXTS[language] * count
    try:
        data = text.encode(codec)
    except UnicodeEncodeError:
        return
    guess = guess_legacy_encoding(data)
    assert guess is None or data.decode(guess) == text


@pytest.mark.parametrize(
    ("language", "codec"),
    [
        ("German", "cp1252"),
        ("German", "cp850"),
        ("French", "latin-1"),
        ("Spanish", "cp1252"),
        ("Japanese", "cp932"),
    ],
)
def test_what_letters_tell_is_told(language, codec):
    assert guess_legacy_encoding(TEXTS[language].encode(codec)) is not None


def test_a_document_is_read_in_its_encoding_and_a_note_says_so():
    table = "Dom\u00e4ne;Schadsoftware\nb\u00f6se-bank.de;B\u00e4r\n".encode("cp1252")
    whole = parse(CsvFormat(), table)
    assert [(item.value, item.malware) for item in whole.indicators] == [
        ("xn--bse-bank-n4a.de", "B\u00e4r")
    ]
    assert any("windows-1252" in note for note in whole.notes)
    items = '[{"domain": "evil-bank.com", "malware": "B\u00e4rl\u00f6we"}]'.encode("cp1252")
    assert parse(JsonFormat(), items).indicators[0].malware == "B\u00e4rl\u00f6we"
    prose = parse(ProseFormat(), "Die Dom\u00e4ne evil-bank.com ist b\u00f6se.".encode("cp1252"))
    assert prose.indicators[0].description == "Die Dom\u00e4ne evil-bank.com ist b\u00f6se."


def test_what_is_not_told_is_lost_as_before():
    whole = parse(CsvFormat(), b"ip;note\n192.0.2.1;\xe8\xe9\xf0\xff\xb9\n")
    assert any("are lost" in note for note in whole.notes)
