"""The table of scenarios: 20 of a review of the first model, and further ones."""

from typing import Final

from tests.observables.scoring.scenarios import (
    Scenario,
    answer,
    confirmed,
    harmless,
    listed,
    seen,
    source,
)

IPV4: Final = "ipv4-addr"
URL: Final = "url"
NAME: Final = "domain-name"
SHA256: Final = "file-sha256"
MD5: Final = "file-md5"
CVE: Final = "vulnerability"
ADDRESS: Final = "203.0.113.7"
DIGEST: Final = "c" * 64
ABUSE: Final = "abuse.ch"

REVIEW: Final = (
    Scenario(
        "Seen ten times, and no source names it", IPV4, ADDRESS, 0, 0,
        "Being seen is not being bad.", sightings=[seen(times=10)],
        numbers={"malicious": (0, 0), "relevant": (80, 100)},
    ),
    Scenario(
        "Seen once at each of five places, and no source names it", IPV4, ADDRESS, 0, 0,
        "Five sensors see traffic, not harm.", sightings=[seen(f"gate {n}") for n in range(5)],
        numbers={"relevant": (80, 100)},
    ),
    Scenario(
        "A popular domain on one noisy list, 1,000 hits in the proxy", NAME, "netflix.com", 0, 10,
        "Traffic to a leading site lifts nothing.",
        [listed("noisy", "D", 60)], [seen(times=1000)],
    ),
    Scenario(
        "One URL through four lists of one provider and its enricher", URL, "http://evil.com/a.exe",
        70, 80, "One provider is one witness, however often it repeats itself.",
        [listed(f"urlhaus {n}", origin=ABUSE) for n in range(4)], (), [answer("urlhaus", 0.75)],
        {"independent": (1, 1)},
    ),
    Scenario(
        "On eight nested levels of one list", IPV4, ADDRESS, 40, 60,
        "Level 8 contains level 1: one voice.",
        [listed(f"level {n}", "C", 60 + 3 * n, origin="stamparm") for n in range(1, 9)],
        numbers={"independent": (1, 1)},
    ),
    Scenario(
        "Two mirrors of one list, without the list itself", IPV4, ADDRESS, 55, 62,
        "Mirrors repeat what they copy.",
        [
            listed("mirror 1", "B", 75, origin="m1", derived_from=["original"]),
            listed("mirror 2", "B", 75, origin="m2", derived_from=["original"]),
        ],
        numbers={"independent": (1, 1)},
    ),
    Scenario(
        "Ten unreliable sources that are sure", IPV4, ADDRESS, 0, 20,
        "Grade E was wrong before; ten of it are no proof.",
        [source(f"e{n}", "E", 100) for n in range(10)],
    ),
    Scenario(
        "Four sources that nobody can judge, of unknown origin", IPV4, ADDRESS, 50, 79,
        "Without known origins they may be one.",
        [source(f"f{n}", "F", 100) for n in range(4)],
    ),
    Scenario(
        "Malware in a release on GitHub, five near-certain sources", URL,
        "https://github.com/x/y/releases/download/evil.exe", 95, 100,
        "The host is no alibi for what lies on it.",
        [source(f"s{n}", "A", 99, origin=f"o{n}") for n in range(5)],
    ),
    Scenario(
        "Malware on GitHub, one source", URL, "https://raw.githubusercontent.com/x/y/main/a.ps1",
        65, 80, "As anywhere else.", [source("urlhaus", origin=ABUSE, tags=["malware_download"])],
    ),
    Scenario(
        "A bucket that attackers registered", NAME, "evil.s3.amazonaws.com", 65, 80,
        "Anybody may register below that suffix.", [source("feed")],
    ),
    Scenario(
        "A name of a dynamic DNS provider", NAME, "evil.duckdns.org", 65, 80,
        "A list of what attackers abuse is no alibi.", [source("feed")],
    ),
    Scenario(
        "8.8.8.8 on three lists", IPV4, "8.8.8.8", 0, 10, "Everybody resolves there.",
        [listed(f"s{n}", "B", 90, origin=f"o{n}") for n in range(3)],
    ),
    Scenario(
        "facebook.com on two lists", NAME, "facebook.com", 0, 10, "A leading site.",
        [listed("a", origin="a"), listed("b", origin="b")],
    ),
    Scenario(
        "An address of a report of 2016 that a feed brings today", IPV4, ADDRESS, 0, 0,
        "No news: whoever has it now is another one.", [source("circl", days=3800)],
        numbers={"active": (0, 0)},
    ),
    Scenario(
        "A hash of malware, 395 days after it was reported", SHA256, DIGEST, 65, 80,
        "A file stays what it is.", [source("malwarebazaar", days=395, origin=ABUSE)],
        numbers={"malicious": (65, 80), "active": (0, 30)},
    ),
    Scenario(
        "A phishing URL after two days", URL, "http://bank.evil.com/login", 20, 45,
        "Campaigns last a day.", [source("openphish", days=3, tags=["phishing"])],
        numbers={"malicious": (65, 80)},
    ),
    Scenario(
        "A phishing URL after a week", URL, "http://bank.evil.com/login", 0, 10,
        "The page is gone.", [source("openphish", days=8, tags=["phishing"])],
    ),
    Scenario(
        "A false positive of five years ago, three fresh reliable sources", IPV4, ADDRESS, 95, 100,
        "Old doubts yield to new evidence.",
        [source(f"s{n}", "A", 90, origin=f"o{n}") for n in range(3)], [harmless(days=1825)],
    ),
    Scenario(
        "CVE in KEV, NVD, CIRCL and two feeds", CVE, "CVE-2021-44228", 95, 95,
        "One fact, repeated: exploited.",
        [source("a", "A", 100), source("b", "B", 90)], (),
        [answer("nvd", 0.9), answer("circl_vulnerability", 0.9)],
    ),
)  # fmt: skip

ORIGINS: Final = (
    Scenario(
        "Two independent reliable sources", IPV4, ADDRESS, 90, 96, "They confirm each other.",
        [source("a", origin="a"), source("b", origin="b")], numbers={"independent": (2, 2)},
    ),
    Scenario(
        "Three independent sources of middling grade", IPV4, ADDRESS, 75, 90,
        "Independent hints add up.",
        [source(f"c{n}", "C", 75, origin=f"o{n}") for n in range(3)],
    ),
    Scenario(
        "The same three of one origin", IPV4, ADDRESS, 40, 50, "One hint.",
        [source(f"c{n}", "C", 75, origin="o") for n in range(3)], numbers={"independent": (1, 1)},
    ),
    Scenario(
        "A list and its aggregator", IPV4, ADDRESS, 70, 74, "The aggregator read the list.",
        [
            listed("drop", origin="spamhaus"),
            listed("firehol", "B", 60, origin="firehol", derived_from=["spamhaus", "sans-isc"]),
        ],
        numbers={"independent": (1, 1)},
    ),
    Scenario(
        "An aggregator that is surer than its input", IPV4, ADDRESS, 80, 90,
        "It may know more: the rest counts.",
        [
            listed("input", "C", 60, origin="x"),
            listed("aggregate", "A", 85, origin="y", derived_from=["x"]),
        ],
        numbers={"independent": (1, 2)},
    ),
    Scenario(
        "Three aggregators with unknown overlap", IPV4, ADDRESS, 60, 75,
        "Nobody knows which inputs they share.",
        [
            listed(f"agg{n}", "B", 80, origin=f"agg{n}", derived_from=[f"i{n}"]) for n in range(3)
        ],
        numbers={"independent": (1, 1)},
    ),
    Scenario(
        "Independent sources and an aggregator of one of them", IPV4, ADDRESS, 90, 96,
        "Two witnesses.",
        [
            source("a", origin="a"), source("b", origin="b"),
            listed("agg", "B", 80, origin="agg", derived_from=["a"]),
        ],
        numbers={"independent": (2, 2)},
    ),
    Scenario(
        "ThreatFox the feed, ThreatFox the enricher", IPV4, ADDRESS, 70, 80, "One witness.",
        [source("threatfox", origin=ABUSE)], (), [answer("threatfox", 0.75)],
        {"independent": (1, 1)},
    ),
    Scenario(
        "A feed and an enricher of another provider", IPV4, ADDRESS, 88, 96, "Two witnesses.",
        [source("threatfox", origin=ABUSE)], (), [answer("abuseipdb", 0.75)],
        {"independent": (2, 2)},
    ),
    Scenario(
        "Several weights of one answer", IPV4, ADDRESS, 60, 70, "One answer is one voice.",
        (), (), [answer("virustotal", 0.65, 0.5, 0.3)], {"independent": (1, 1)},
    ),
    Scenario(
        "Ten unreliable sources of known origins", IPV4, ADDRESS, 0, 20, "Still unreliable.",
        [source(f"e{n}", "E", 100, origin=f"o{n}") for n in range(10)],
    ),
    Scenario(
        "An unreliable source beside a reliable one", IPV4, ADDRESS, 72, 80,
        "It adds little.", [source("a", "B", 90), source("e", "E", 100)],
    ),
    Scenario(
        "Four sources of grade F with independent origins", IPV4, ADDRESS, 90, 95,
        "Independence makes up for doubt.",
        [source(f"f{n}", "F", 100, origin=f"o{n}") for n in range(4)],
    ),
    Scenario(
        "Six sources of grade D without named origins", IPV4, ADDRESS, 60, 79,
        "Not malicious on their word alone.",
        [source(f"d{n}", "D", 90) for n in range(6)],
    ),
    Scenario(
        "One more copy of a strong claim", IPV4, ADDRESS, 72, 73, "Less than two points.",
        [listed("original", origin="x")]
        + [listed(f"copy {n}", "B", 90, origin=f"c{n}", derived_from=["x"]) for n in range(5)],
    ),
)  # fmt: skip

TIME: Final = (
    Scenario(
        "A C2 address two weeks after it was seen", IPV4, ADDRESS, 25, 45, "Half of it is left.",
        [source("feed", days=16, tags=["c2"])],
    ),
    Scenario(
        "An address that scanned two weeks ago", IPV4, ADDRESS, 5, 25, "Scanners move on.",
        [source("feed", days=16, tags=["ssh"])],
    ),
    Scenario(
        "An address of a cloud, ten days after", IPV4, "52.95.110.5", 15, 35,
        "Its tenants change within days.", [source("feed", days=11)],
    ),
    Scenario(
        "An address that a list still names after a year", IPV4, ADDRESS, 65, 80,
        "The list renews it.", [listed("drop", origin="spamhaus")],
    ),
    Scenario(
        "An address of a list that came no more for three weeks", IPV4, ADDRESS, 25, 50,
        "It holds for a week and fades then.",
        [source("dead", kind="snapshot", days=21, listed_days=21)],
    ),
    Scenario(
        "A list that still names what it saw last three years ago", IPV4, ADDRESS, 0, 5,
        "Its own date says that it is over.", [source("list", kind="snapshot", days=1100)],
    ),
    Scenario(
        "A domain after a month", NAME, "trickster-cdn.net", 45, 65, "Domains live longer.",
        [source("feed", days=31)],
    ),
    Scenario(
        "A phishing domain after two months", NAME, "trickster-cdn.net", 0, 5,
        "It was thrown away.",
        [source("feed", days=62, tags=["phishing"])],
    ),
    Scenario(
        "A URL that spread malware three weeks ago", URL, "http://evil.com/a.exe", 0, 5,
        "Taken down by now.", [source("feed", days=23, tags=["malware_download"])],
    ),
    Scenario(
        "A hash after five years", SHA256, DIGEST, 65, 80, "Still malware.",
        [source("feed", days=1825)], numbers={"active": (0, 0)},
    ),
    Scenario(
        "A hash whose claim has lapsed", SHA256, DIGEST, 0, 0, "Nobody vouches for it now.",
        [source("feed", days=10, until=-5)], numbers={"malicious": (65, 80)},
    ),
    Scenario(
        "A hash that its source retracted", SHA256, DIGEST, 0, 0, "The source was wrong.",
        [source("feed", retracted=True)], numbers={"malicious": (0, 0)},
    ),
    Scenario(
        "An address that was bad four years ago", IPV4, ADDRESS, 0, 0, "Not now.",
        [source("feed", days=1460)], numbers={"malicious": (25, 60), "active": (0, 0)},
    ),
    Scenario(
        "A certificate of a C2 after two years", "x509-sha1", "d" * 40, 65, 80,
        "A certificate stays what it is.", [source("sslbl", days=730, origin=ABUSE)],
    ),
    Scenario(
        "An answer of an enricher that is a month old", IPV4, ADDRESS, 0, 0,
        "It counts for 30 days.", (), (), [answer("abuseipdb", 0.8, days=31)],
    ),
)  # fmt: skip

SIGHTINGS: Final = (
    Scenario(
        "A fading claim, seen here today", IPV4, ADDRESS, 65, 75, "What is used is active.",
        [source("feed", days=30)], [seen()], numbers={"relevant": (30, 40)},
    ),
    Scenario(
        "A claim that had faded before it was seen", IPV4, ADDRESS, 0, 0,
        "A sighting wakes nothing.", [source("feed", days=60)], [seen(times=100)],
    ),
    Scenario(
        "A fading claim, seen weekly", IPV4, ADDRESS, 65, 75, "Each sighting renews it.",
        [source("feed", days=60)], [seen(days=40), seen(days=20), seen(days=0)],
    ),
    Scenario(
        "Seen often two years ago", IPV4, ADDRESS, 65, 75, "Relevance fades.",
        [source("feed")], [seen(times=100, days=730)], numbers={"relevant": (0, 0)},
    ),
    Scenario(
        "Seen at three places", IPV4, ADDRESS, 65, 75, "The score stays, relevance rises.",
        [source("feed")], [seen("a"), seen("b"), seen("c")], numbers={"relevant": (60, 75)},
    ),
    Scenario(
        "An analyst confirms it", IPV4, ADDRESS, 85, 95, "A person looked.",
        sightings=[confirmed()],
    ),
    Scenario(
        "Two analysts confirm it", IPV4, ADDRESS, 97, 100, "Two persons looked.",
        sightings=[confirmed("kim"), confirmed("lee")],
    ),
    Scenario(
        "One analyst confirms it three times", IPV4, ADDRESS, 85, 95, "One person.",
        sightings=[confirmed(days=n / 24) for n in range(3)],
    ),
    Scenario(
        "An analyst calls it a false positive", IPV4, ADDRESS, 0, 20, "A person looked.",
        [source("feed", days=1)], [harmless()],
    ),
    Scenario(
        "Two analysts call it a false positive", IPV4, ADDRESS, 0, 8, "Two persons looked.",
        [source("feed", "A", 100, days=1)], [harmless("kim"), harmless("lee")],
    ),
    Scenario(
        "A false positive of last week, a new source today", IPV4, ADDRESS, 72, 90,
        "The new evidence is not what was judged.",
        [source("old", days=9, origin="a"), source("new", origin="b")], [harmless(days=7)],
    ),
    Scenario(
        "A false positive of last week, the same evidence", IPV4, ADDRESS, 0, 15,
        "The judgement holds.", [source("old", days=9)], [harmless(days=7)],
    ),
    Scenario(
        "A false positive of half a year ago on a listed hash", SHA256, DIGEST, 35, 60,
        "It fades by half.", [source("old", days=200)], [harmless(days=180)],
    ),
    Scenario(
        "A false positive of two years ago on a hash", SHA256, DIGEST, 65, 80,
        "It has faded.", [source("old", days=800)], [harmless(days=740)],
    ),
    Scenario(
        "Confirmed after it was called a false positive", IPV4, ADDRESS, 85, 95,
        "The newer judgement counts.",
        [source("feed", days=5)], [harmless(days=3), confirmed(days=0.5)],
    ),
    Scenario(
        "Called a false positive after it was confirmed", IPV4, ADDRESS, 0, 25,
        "The newer judgement counts.",
        [source("feed", days=5)], [confirmed("lee", days=3), harmless(days=1)],
    ),
)  # fmt: skip

LISTS: Final = (
    Scenario(
        "github.com itself", NAME, "github.com", 0, 10, "A platform is not its tenants.",
        [source("a", "A", 95, origin="a")],
    ),
    Scenario(
        "A file on Dropbox", URL, "https://www.dropbox.com/s/abc/evil.zip?dl=1", 65, 80,
        "No alibi.", [source("feed")],
    ),
    Scenario(
        "A file on Google Drive", URL, "https://drive.google.com/uc?id=1", 65, 80, "No alibi.",
        [source("feed")],
    ),
    Scenario(
        "A worker on a shared suffix", NAME, "evil.workers.dev", 65, 80,
        "Anybody may register there.", [source("feed")],
    ),
    Scenario(
        "1.1.1.1 on five lists", IPV4, "1.1.1.1", 0, 10, "A resolver that everybody uses.",
        [listed(f"s{n}", origin=f"o{n}") for n in range(5)],
    ),
    Scenario(
        "The hash of an empty file", MD5, "d41d8cd98f00b204e9800998ecf8427e", 0, 10,
        "Every empty file has it.", [source("a", "A", 100, origin="a")],
    ),
    Scenario(
        "A scanner that says so", IPV4, "71.6.135.131", 0, 25, "It scans everybody.",
        [listed(f"ssh {n}", "B", 80, origin=f"o{n}") for n in range(3)],
    ),
    Scenario(
        "An address of Cloudflare", IPV4, "104.16.1.1", 0, 25, "Thousands of sites share it.",
        [source("a", "A", 95)],
    ),
    Scenario(
        "An address of a cloud, today", IPV4, "52.95.110.5", 65, 80,
        "A rented address may well be bad.", [source("feed")],
    ),
    Scenario(
        "A greynoise-benign scanner on six lists of one provider", IPV4, ADDRESS, 0, 30,
        "One list, and an answer that it is benign.",
        [listed(f"ssh {n}", "B", 80, origin="blocklist.de") for n in range(6)], (),
        [answer("greynoise", -0.7)],
    ),
    Scenario(
        "A shortened URL", URL, "https://bit.ly/3abcdef", 65, 80,
        "The shortener is no alibi for its target.", [source("feed")],
    ),
)  # fmt: skip

VULNERABILITIES: Final = (
    Scenario(
        "CVE in KEV that no feed names", CVE, "CVE-2021-44228", 95, 95, "It is exploited.",
    ),
    Scenario(
        "CVE that two reports name", CVE, "CVE-2020-1234", 20, 45,
        "Being written about is not being exploited.",
        [source("blog 1", origin="a"), source("blog 2", origin="b")],
    ),
    Scenario(
        "CVE with EPSS of 12 %", CVE, "CVE-2020-1234", 12, 12, "A forecast, as it is.",
        (), (), [answer("epss", 0.12)],
    ),
    Scenario(
        "CVE with EPSS of 90 % and a report", CVE, "CVE-2020-1234", 90, 90,
        "The strongest reason counts.", [source("blog")], (), [answer("epss", 0.9)],
    ),
    Scenario(
        "CVE that an exploit kit uses", CVE, "CVE-2020-1234", 70, 75, "Seen in use.",
        [source("kits", tags=["exploit-kit"])],
    ),
)  # fmt: skip

GROUPS: Final = {
    "The review's scenarios": REVIEW,
    "Origins": ORIGINS,
    "Time": TIME,
    "Sightings and judgements": SIGHTINGS,
    "Allow-lists": LISTS,
    "Vulnerabilities": VULNERABILITIES,
}
