"""The shape of a name: it looks like random letters, or like another, well-known name.

The model is small enough to be explained. `bigrams.csv` has how unlikely one character is after
another, in hundredths of a nat (the natural logarithm), counted over the registrable labels of
900,000 of the million most-used sites of Tranco (MISP's list of 2025-01-15; a dot stands for
either end of a label). A label is scored by the average cost of its pairs, which counts the more
the longer it is; digits make it look generated, a change between letters and digits (`hotel24`)
less so. The weights are those of a logistic regression of popular labels against random letters,
letters with digits, hexadecimal digits and base 32. Share of vowels, runs of consonants and
entropy were tried and improved nothing.
"""

import unicodedata
from collections.abc import Sequence
from functools import cache
from math import exp, log
from pathlib import Path
from typing import Final

import numpy as np

from services.observables.reference.enrichers.base import Facts
from services.observables.reference.enrichers.domain_name import split_many
from services.observables.reference.packed_arrays import Array
from services.observables.scoring.claims import Effect
from shared.stix.vocabulary import ObservableType as Type

SHORTEST: Final = 7
"""Characters of the shortest label that is scored: shorter ones are abbreviations."""
THRESHOLD: Final = 0.75
"""The score from which a label is reported.

Of the 100,000 popular sites that were not used in training, 0.8 % reach it.
"""

_DGA: Final = 0.2
_LOOKALIKE: Final = 0.4

# The weights of the regression.
_INTERCEPT: Final = 24.93
_COST: Final = -9.53
_COST_BY_LENGTH: Final = 5.6
_DIGITS: Final = 1.86
_TURNS: Final = -8.1
_NEUTRAL_COST: Final = 3.0
"""The cost of a pair, in nats, that is no evidence for or against chance."""
_THRESHOLD_LOGIT: Final = log(THRESHOLD / (1 - THRESHOLD))


def _read_costs(text: str) -> Array:
    """The cost of each character after each other one, in hundredths of a nat."""
    # An underscore, or any other sign that is no letter, digit or hyphen, is as rare as the rarest.
    costs = np.full((128, 128), 900, np.int64)
    first, *rows = (line.split(",") for line in text.splitlines())
    for row in rows:
        for after, cost in zip(first[1:], row[1:], strict=True):
            costs[ord(row[0]), ord(after)] = int(cost)
    return costs


_COSTS: Final = _read_costs(Path(__file__).with_name("bigrams.csv").read_text(encoding="ascii"))

_IMITATED_OFTEN: Final = """
abnamro.nl accenture.com adidas.com adobe.com adyen.com airbnb.com airfrance.com alibaba.com
aliexpress.com allegro.pl allianz.com amazon.com amazonaws.com ameli.fr americanexpress.com
android.com apple.com atlassian.com bankofamerica.com barclays.co.uk bbva.com bestbuy.com
binance.com bitfinex.com bitstamp.net blockchain.com bloomberg.com bnpparibas.com booking.com
box.com bradesco.com.br bybit.com caixabank.es capitalone.com chase.com chatgpt.com chronopost.fr
citibank.com cloudflare.com coinbase.com comcast.com commbank.com.au commerzbank.de correos.es
costco.com credit-agricole.fr danskebank.dk deutsche-bank.de deutschepost.de dhl.com discord.com
disneyplus.com docusign.com dpd.com dropbox.com ebay.com emirates.com epicgames.com etherscan.io
etsy.com expedia.com facebook.com fedex.com fidelity.com firefox.com github.com gitlab.com
gmail.com gmx.net godaddy.com google.com hetzner.com hotmail.com hsbc.com hulu.com icloud.com
ikea.com instagram.com interactivebrokers.com intesasanpaolo.com intuit.com itau.com.br
jpmorgan.com kraken.com kucoin.com laposte.fr lastpass.com ledger.com lidl.de linkedin.com
lloydsbank.com lufthansa.com mastercard.com mcafee.com mediamarkt.de mercadolibre.com metamask.io
microsoft.com microsoftonline.com monzo.com mozilla.org myetherwallet.com namecheap.com
natwest.com netflix.com nike.com nintendo.com norton.com nubank.com.br office.com office365.com
okta.com onedrive.com onlinesbi.sbi openai.com opensea.io optus.com.au orange.fr outlook.com
ovhcloud.com pancakeswap.finance paypal.com pinterest.com playstation.com postbank.de poste.it
postnl.nl rabobank.nl rakuten.co.jp reddit.com revolut.com roblox.com royalmail.com salesforce.com
samsung.com santander.com shopify.com signal.org skype.com slack.com snapchat.com sparkasse.de
spotify.com steamcommunity.com steampowered.com stripe.com swisscom.ch t-mobile.com target.com
telegram.org telekom.de telstra.com.au tesla.com tiktok.com trezor.io trustwallet.com twitch.tv
twitter.com uber.com ubs.com unicredit.it uniswap.org usbank.com usps.com verizon.com vodafone.com
walmart.com wechat.com wellsfargo.com westernunion.com whatsapp.com wikipedia.org wordpress.com
xbox.com yahoo.com yandex.ru youtube.com zalando.de zendesk.com zoom.us
"""
BRANDS: Final = frozenset(_IMITATED_OFTEN.split())
"""Domains that phishers imitate, except names that are too short or too common to recognise."""

# Letters that are drawn like an ASCII letter and that NFKD does not decompose.
_CONFUSABLE: Final = (
    ("абвгԁеэғԍһнңіјкқҡӏмпоөрԛѕсҫтциѵԝшѡхҳуүьҽ", "abbrdeefghhhijkkklmnoopqscctuuvwwwxxyybe"),
    ("αβγδεζηικλμνοπρςστυχωϲϳ", "abydezniklmvonpsotuxwcj"),
    ("ıłøđħŧɑɡɩʟɴʀʏɪʙɢʜßþƅƙŋɓɗɛɨɫɱɲɵʂʈʋʐ", "ilodhtagilnryibghbpbknbdeilmnostvz"),
    ("ᴀᴄᴅᴇᴊᴋᴍᴏᴘᴛᴜᴠᴡᴢⲟոօսհցզյ", "acdejkmoptuvwzonouhgqj"),
    ("01", "ol"),
)
_SKELETON: Final = {
    ord(lookalike): letter
    for lookalikes, letters in _CONFUSABLE
    for lookalike, letter in zip(lookalikes, letters, strict=True)
}
_DIGITS_READ: Final = str.maketrans("01", "ol")
# Japanese mixes three scripts with Latin letters; a mix of these has no use but deception.
_CONFUSED_SCRIPTS: Final = {"LATIN", "CYRILLIC", "GREEK", "ARMENIAN", "COPTIC"}


def skeleton(label: str) -> str:
    """A label as it looks at a glance: accents dropped, look-alike letters and digits replaced."""
    bare = unicodedata.normalize("NFKD", label.translate(_SKELETON))
    return "".join(char for char in bare if not unicodedata.combining(char)).translate(_SKELETON)


_IMITATED: Final = {skeleton(brand.partition(".")[0]): brand for brand in BRANDS}
_GENUINE: Final = frozenset(brand.partition(".")[0] for brand in BRANDS)


def dga_many(labels: Sequence[str]) -> list[float | None]:
    """How much each label looks like random letters, 0 to 1; None below the threshold.

    A label with a hyphen, or of digits alone, is composed by people.
    """
    results: list[float | None] = [None] * len(labels)
    places = [
        place
        for place, label in enumerate(labels)
        if len(label) >= SHORTEST and "-" not in label and not label.isdigit()
    ]
    if not places:
        return results
    scores = _scores([labels[place] for place in places])
    for number in np.flatnonzero(scores >= _THRESHOLD_LOGIT).tolist():
        results[places[number]] = 1 / (1 + exp(-float(scores[number])))
    return results


def _scores(labels: Sequence[str]) -> Array:
    """The logit of each label, which the logistic function turns into a share.

    All labels are scored at once. They are joined with dots: each dot ends a label and begins the
    next one, so the pairs of all labels follow each other, and `reduceat` sums them by label.
    """
    joined = f".{'.'.join(labels)}.".encode("ascii", "replace")
    data = np.frombuffer(joined, np.uint8)
    ends = np.flatnonzero(data == ord("."))
    starts = ends[:-1]
    sizes = np.diff(ends) - 1
    digits = (data >= ord("0")) & (data <= ord("9"))
    # A label of n characters has n + 1 pairs; costs are in hundredths.
    cost = np.add.reduceat(_COSTS[data[:-1], data[1:]], starts) / (100 * sizes + 100)
    # Changes between letters and digits; the dots at either end are none.
    turned = digits[:-1] != digits[1:]
    turned[ends[:-1]] = False
    turned[ends[1:] - 1] = False
    turns = np.add.reduceat(turned, starts, dtype=np.int64)
    numerals = np.add.reduceat(digits[:-1], starts, dtype=np.int64)
    scores: Array = (
        _INTERCEPT + _COST * cost + _COST_BY_LENGTH * (cost - _NEUTRAL_COST) * np.sqrt(sizes)
    )
    scores += (_DIGITS * numerals + _TURNS * turns) / sizes
    return scores


def _imitation(label: str) -> Facts | None:
    """The name that a label imitates with other letters, or with digits for letters."""
    if label[:4] != "xn--":
        letters = label.translate(_DIGITS_READ)
        # Short names with digits are too common: `02` is no imitation of `o2`.
        if letters == label or len(label) <= 4 or label in _GENUINE:
            return None
        brand = _IMITATED.get(letters)
        return {"lookalike_of": brand} if brand else None
    try:
        shown = label[4:].encode().decode("punycode")
    except UnicodeError:
        return None
    if brand := _IMITATED.get(skeleton(shown)):
        return {"lookalike_of": brand}
    scripts = {unicodedata.name(char, "").partition(" ")[0] for char in shown}
    return {"mixed_scripts": True} if len(scripts & _CONFUSED_SCRIPTS) > 1 else None


class DomainShapeEnricher:
    """Facts such as `{"dga": 0.93}`, `{"lookalike_of": "paypal.com"}`, `{"mixed_scripts": true}`.

    Most names have none. Only the registered label counts: labels before it cost nothing, so
    they prove nothing.
    """

    name = "domain_shape"
    types: frozenset[str] = frozenset({Type.DOMAIN, Type.URL})
    weighs = True

    def enrich(self, type_: str, values: Sequence[str]) -> Sequence[Facts | None]:
        """The shape of each name, or name in a URL."""
        if type_ not in self.types:
            return [None] * len(values)
        facts: list[Facts | None] = [None] * len(values)
        places: list[int] = []
        labels: list[str] = []
        for place, parts in enumerate(split_many(type_, values)):
            if parts is None or parts.registrable is None:
                continue
            label = parts.registrable.partition(".")[0]
            if label[:4] == "xn--":
                facts[place] = _imitation(label)
            elif ("0" in label or "1" in label) and (imitation := _imitation(label)):
                facts[place] = imitation
            elif not parts.private:
                # Below a company's suffix (`d1a2b3c4.cloudfront.net`), machines choose the names
                # of honest customers.
                places.append(place)
                labels.append(label)
        for place, score in zip(places, dga_many(labels), strict=True):
            if score is not None:
                facts[place] = _dga_facts(round(score, 2))
        return facts

    def effects(self, facts: Facts) -> Sequence[Effect]:
        """A name that hides its owner, or pretends to have another, is rarely harmless."""
        if brand := facts.get("lookalike_of"):
            reason = f"The name is made to be taken for {brand}."
            return (Effect("enrichment", self.name, _LOOKALIKE, reason),)
        if (score := facts.get("dga")) is not None:
            reason = f"The name looks like random letters ({score:.2f} of 1)."
            return (Effect("enrichment", self.name, _DGA, reason),)
        return ()


@cache
def _dga_facts(score: float) -> Facts:
    return {"dga": score}
