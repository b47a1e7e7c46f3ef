"""How a name looks: like random letters, or like somebody else's.

The model is small enough to be explained. `bigrams.csv` holds how unlikely one character is after another, in
hundredths of a nat (the natural logarithm), counted over the registrable labels of 900,000 of the million most-used
sites of Tranco (MISP's list of 2025-01-15; a dot stands for either end of a label). A label is scored by what its
pairs cost on average, which counts the more the longer it is; digits make it look generated, a change between letters
and digits (`hotel24`) less so. The weights are those of a logistic regression of popular labels against random
letters, letters with digits, hexadecimal digits and base 32; share of vowels, runs of consonants and entropy were
tried and improved nothing.
"""

import unicodedata
from collections.abc import Sequence
from itertools import pairwise
from math import exp, log, sqrt
from pathlib import Path
from typing import Final

from services.observables.enrichers.base import Effect, Facts
from services.observables.enrichers.domain_name import name_of, split
from shared.stix.vocabulary import ObservableType as Type

SHORTEST: Final = 7
"""Characters of the shortest label that is scored: shorter ones are abbreviations."""
THRESHOLD: Final = 0.75
"""What a label must score to be worth a word; 0.8 % of the 100,000 popular sites held back while training do."""

_DGA: Final = 0.2
_LOOKALIKE: Final = 0.4

_INTERCEPT, _COST, _COST_BY_LENGTH, _DIGITS, _TURNS = 24.93, -9.53, 5.6, 1.86, -8.1
_USUAL: Final = 3.0
"""What a pair costs in nats where nothing speaks for or against chance."""
_ENOUGH: Final = log(THRESHOLD / (1 - THRESHOLD))


class _Costs(dict[tuple[str, str], int]):
    def __missing__(self, pair: tuple[str, str]) -> int:
        return 900  # an underscore, or what else is no letter, digit or hyphen: as rare as the rarest


def _read(text: str) -> _Costs:
    first, *rows = (line.split(",") for line in text.splitlines())
    return _Costs({(row[0], after): int(cost) for row in rows for after, cost in zip(first[1:], row[1:], strict=True)})


_COSTS: Final = _read(Path(__file__).with_name("bigrams.csv").read_text(encoding="ascii"))

_IMITATED_OFTEN: Final = """
abnamro.nl accenture.com adidas.com adobe.com adyen.com airbnb.com airfrance.com alibaba.com aliexpress.com allegro.pl
allianz.com amazon.com amazonaws.com ameli.fr americanexpress.com android.com apple.com atlassian.com
bankofamerica.com barclays.co.uk bbva.com bestbuy.com binance.com bitfinex.com bitstamp.net blockchain.com
bloomberg.com bnpparibas.com booking.com box.com bradesco.com.br bybit.com caixabank.es capitalone.com chase.com
chatgpt.com chronopost.fr citibank.com cloudflare.com coinbase.com comcast.com commbank.com.au commerzbank.de
correos.es costco.com credit-agricole.fr danskebank.dk deutsche-bank.de deutschepost.de dhl.com discord.com
disneyplus.com docusign.com dpd.com dropbox.com ebay.com emirates.com epicgames.com etherscan.io etsy.com expedia.com
facebook.com fedex.com fidelity.com firefox.com github.com gitlab.com gmail.com gmx.net godaddy.com google.com
hetzner.com hotmail.com hsbc.com hulu.com icloud.com ikea.com instagram.com interactivebrokers.com intesasanpaolo.com
intuit.com itau.com.br jpmorgan.com kraken.com kucoin.com laposte.fr lastpass.com ledger.com lidl.de linkedin.com
lloydsbank.com lufthansa.com mastercard.com mcafee.com mediamarkt.de mercadolibre.com metamask.io microsoft.com
microsoftonline.com monzo.com mozilla.org myetherwallet.com namecheap.com natwest.com netflix.com nike.com
nintendo.com norton.com nubank.com.br office.com office365.com okta.com onedrive.com onlinesbi.sbi openai.com
opensea.io optus.com.au orange.fr outlook.com ovhcloud.com pancakeswap.finance paypal.com pinterest.com
playstation.com postbank.de poste.it postnl.nl rabobank.nl rakuten.co.jp reddit.com revolut.com roblox.com
royalmail.com salesforce.com samsung.com santander.com shopify.com signal.org skype.com slack.com snapchat.com
sparkasse.de spotify.com steamcommunity.com steampowered.com stripe.com swisscom.ch t-mobile.com target.com
telegram.org telekom.de telstra.com.au tesla.com tiktok.com trezor.io trustwallet.com twitch.tv twitter.com uber.com
ubs.com unicredit.it uniswap.org usbank.com usps.com verizon.com vodafone.com walmart.com wechat.com wellsfargo.com
westernunion.com whatsapp.com wikipedia.org wordpress.com xbox.com yahoo.com yandex.ru youtube.com zalando.de
zendesk.com zoom.us
"""
BRANDS: Final = frozenset(_IMITATED_OFTEN.split())
"""Domains that phishers imitate; names too short or too common to be told from others are left out."""

# Letters that are drawn like an ASCII letter and that NFKD does not take apart.
_CONFUSABLE: Final = (
    ("абвгԁеэғԍһнңіјкқҡӏмпоөрԛѕсҫтциѵԝшѡхҳуүьҽ", "abbrdeefghhhijkkklmnoopqscctuuvwwwxxyybe"),
    ("αβγδεζηικλμνοπρςστυχωϲϳ", "abydezniklmvonpsotuxwcj"),
    ("ıłøđħŧɑɡɩʟɴʀʏɪʙɢʜßþƅƙŋɓɗɛɨɫɱɲɵʂʈʋʐ", "ilodhtagilnryibghbpbknbdeilmnostvz"),
    ("ᴀᴄᴅᴇᴊᴋᴍᴏᴘᴛᴜᴠᴡᴢⲟոօսհցզյ", "acdejkmoptuvwzonouhgqj"),
    ("01", "ol"),
)
_SKELETON: Final = {
    ord(one): letter for alike, letters in _CONFUSABLE for one, letter in zip(alike, letters, strict=True)
}
_DIGITS_READ: Final = str.maketrans("01", "ol")
# Japanese mixes three scripts and Latin letters beside; these are mixed only by people who want to deceive.
_ALIKE: Final = {"LATIN", "CYRILLIC", "GREEK", "ARMENIAN", "COPTIC"}


def skeleton(label: str) -> str:
    """A label as it looks at a glance: accents dropped, look-alike letters and digits replaced."""
    bare = unicodedata.normalize("NFKD", label.translate(_SKELETON))
    return "".join(char for char in bare if not unicodedata.combining(char)).translate(_SKELETON)


_IMITATED: Final = {skeleton(brand.partition(".")[0]): brand for brand in BRANDS}
_GENUINE: Final = frozenset(brand.partition(".")[0] for brand in BRANDS)


def dga(label: str) -> float | None:
    """How much a label looks like random letters, 0 to 1; None below the threshold.

    A label with a hyphen, or of digits alone, is put together by people.
    """
    size = len(label)
    if size < SHORTEST or "-" in label or label.isdigit():
        return None
    ended = f".{label}."
    cost = sum(map(_COSTS.__getitem__, pairwise(ended))) / (100 * size + 100)
    score = _INTERCEPT + _COST * cost + _COST_BY_LENGTH * (cost - _USUAL) * sqrt(size)
    if score + _DIGITS < _ENOUGH:  # as nearly all: whatever its digits say, it cannot get there
        return None
    if not label.isalpha():
        kinds = [char.isdigit() for char in label]
        turns = sum(map(bool.__xor__, kinds, kinds[1:]))
        score += (_DIGITS * sum(kinds) + _TURNS * turns) / size
    return 1 / (1 + exp(-score)) if score >= _ENOUGH else None


def _imitation(label: str) -> Facts | None:
    """Whom a label imitates, where it is written in other letters or with digits for letters."""
    if label[:4] != "xn--":
        read = label.translate(_DIGITS_READ)
        # Short names with digits are too many: `02` is no imitation of `o2`.
        brand = _IMITATED.get(read) if read != label and len(label) > 4 and label not in _GENUINE else None
        return {"lookalike_of": brand} if brand else None
    try:
        shown = label[4:].encode().decode("punycode")
    except UnicodeError:
        return None
    if brand := _IMITATED.get(skeleton(shown)):
        return {"lookalike_of": brand}
    scripts = {unicodedata.name(char, "").partition(" ")[0] for char in shown}
    return {"mixed_scripts": True} if len(scripts & _ALIKE) > 1 else None


class DomainShapeEnricher:
    """Facts such as `{"dga": 0.93}`, `{"lookalike_of": "paypal.com"}` or `{"mixed_scripts": true}`; mostly none.

    Only the label somebody chose when registering is looked at: what is before it costs nothing and shows nothing.
    """

    name = "domain_shape"
    types: frozenset[str] = frozenset({Type.DOMAIN, Type.URL})
    weighs = True

    def enrich(self, type_: str, values: Sequence[str]) -> Sequence[Facts | None]:
        """How each name, or name in a URL, looks."""
        if type_ not in self.types:
            return [None] * len(values)
        names = values if type_ == Type.DOMAIN else [name_of(type_, value) for value in values]
        return [_facts(name) if name else None for name in names]

    def effects(self, facts: Facts) -> Sequence[Effect]:
        """Somebody who hides, or pretends to be another, is rarely harmless."""
        if brand := facts.get("lookalike_of"):
            return (Effect(_LOOKALIKE, f"The name is made to be taken for {brand}."),)
        if (score := facts.get("dga")) is not None:
            return (Effect(_DGA, f"The name looks like random letters ({score:.2f} of 1)."),)
        return ()


def _facts(name: str) -> Facts | None:
    registrable, _, private = split(name)
    if registrable is None:
        return None
    label = registrable.partition(".")[0]
    if label[:4] == "xn--" or not label.isalpha():
        imitation = _imitation(label)
        if imitation or label[:4] == "xn--":
            return imitation
    # Below a company's suffix (`d1a2b3c4.cloudfront.net`), machines choose the names of honest customers too.
    score = None if private else dga(label)
    return None if score is None else {"dga": round(score, 2)}
