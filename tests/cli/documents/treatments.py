"""What differs from running a command of a page as it is written: how, and why.

A command without an entry is run as it stands, and ends with exit code 0.
"""

from typing import NamedTuple


class Treatment(NamedTuple):
    """How a command is run.

    Attributes:
        reason: in words, for whoever reads the table.
        is_run: whether it is run at all.
        seconds: after so many it gets Ctrl-C, because it stays; 0: it ends by itself.
        codes: exit codes that are right.
        says: what it prints then.
        variables: set for this command.
    """

    reason: str
    is_run: bool = True
    seconds: int = 0
    codes: tuple[int, ...] = (0,)
    says: str = ""
    variables: str = ""


def passed_over(reason: str) -> Treatment:
    """A command that is not run here."""
    return Treatment(reason, is_run=False)


STAYS = Treatment("it stays until Ctrl-C", seconds=6, codes=(0, 124, 130))
EXAMPLE_ID = "the page shows an example of an id; the command answers that it is not there"
ONLINE = "without a network the run is tried again, which the exit code 3 says"
NO_SERVER = "the address is an example, and no such server answers there"
KEY = "there is no terminal to type the key: the variable that the page names has it"
NOT_HALTED = "no partition of this stack is halted; the command answers that"
ROTATION = (
    "it replaces the keys of the stack that all tests share; tests/cli/test_rotation.py runs it"
)
CONTAINERS = "it needs a container engine; tests/deploy checks the files that it reads"
LANTERN = (
    "it needs the files that the page lets the reader write; "
    "tests/observables/providers/test_documentation.py writes and runs them"
)
PERSON = "it is for a person who has signed in, and the stack's own secret is none"
LINK = "the page shows a part of a link; tests/gateway/sign_in accepts whole ones"
API_KEY = "the page shows no key; tests/gateway/api_keys makes and uses some"
NGINX = "it needs nginx of the machine; tests/gateway/routing/test_proxy_rules.py runs nginx so"
COPY = "it needs a stack that is stopped; tests/cli/documents/test_backup.py runs the page"

TREATMENTS: dict[str, Treatment] = {
    "make run": passed_over("it starts the stack that these commands use, in the reader's folder"),
    "make test": passed_over("it runs this test"),
    "make test-all": passed_over("it runs this test"),
    "make manual": passed_over("it writes into the tree; tests/gateway/manual builds it elsewhere"),
    'sentineliq observables cost "a paid feed" 12000 --currency EUR --tenant acme': passed_over(
        "it names a feed of the reader's; tests/cli/commands runs the command"
    ),
    "make containers": passed_over("continuous integration runs it before the tests"),
    "make check": passed_over("continuous integration runs it beside the tests"),
    "make faults": passed_over("it takes an hour on a machine of its own"),
    "make bench": passed_over("it measures for minutes on a machine of its own"),
    "make env": passed_over("it writes secrets into the tree; tests/deploy runs it in a copy"),
    "docker compose --profile all up --build": passed_over(CONTAINERS),
    "docker compose --profile all up --detach": passed_over(CONTAINERS),
    "docker compose run --rm --no-deps kafka-logins shared.kafka.logins end": passed_over(
        CONTAINERS
    ),
    "sentineliq events tail observables.changed.v1 --from-beginning": STAYS,
    "sentineliq events tail scheduler.fired.v1": STAYS,
    "sentineliq events tail feeds.finished.v1": STAYS,
    "tail -f .sentineliq/logs/celery.log": STAYS,
    "sentineliq feeds subscribe openphish": Treatment(ONLINE, codes=(0, 3)),
    "sentineliq feeds run openphish": Treatment(ONLINE, codes=(0, 3)),
    "sentineliq enrichers key abuseipdb": Treatment(
        KEY, variables="SENTINELIQ_ENRICHER_KEY=0123456789abcdef"
    ),
    "sentineliq enrichers key greynoise --tenant public": Treatment(
        KEY, variables="SENTINELIQ_ENRICHER_KEY=0123456789abcdef"
    ),
    "SENTINELIQ_ENRICHER_URLS=shodan_internetdb=http://127.0.0.1:8900,"
    "rdap=https://rdap.mirror.example SENTINELIQ_OUTBOUND_ALLOW=127.0.0.0/8 "
    "sentineliq up": passed_over("it starts a second stack on the same ports and folder"),
    "sentineliq feeds add our-misp https://example.com/misp-feed/ --collector misp "
    "--every 1h": Treatment(NO_SERVER, codes=(1, 3)),
    "sentineliq feeds add our-opencti https://example.com/taxii2/root/ --collector taxii "
    "--collector-option collection=indicators --kind stream": Treatment(NO_SERVER, codes=(1, 3)),
    "sentineliq secrets rotate": passed_over(ROTATION),
    "sentineliq secrets rotate --days 7": passed_over(ROTATION),
    "sentineliq secrets rotate --now": passed_over(ROTATION),
    "sentineliq secrets revoke 3f9c0d1be27a": Treatment(
        EXAMPLE_ID, codes=(1,), says="3f9c0d1be27a"
    ),
    "sentineliq dead show feeds.observed.v1.dead/0/17": Treatment(EXAMPLE_ID, codes=(1,)),
    "sentineliq dead retry feeds.observed.v1.dead/0/17": Treatment(EXAMPLE_ID, codes=(1,)),
    "sentineliq consumers release feeds.observed.v1/2": Treatment(NOT_HALTED, codes=(1,)),
    "sentineliq consumers release feeds.observed.v1/2 --allow 500": Treatment(
        NOT_HALTED, codes=(1,)
    ),
    "sentineliq events parked retry 1207 --service observables": Treatment(
        EXAMPLE_ID, codes=(0, 1)
    ),
    "python -m pytest tests/observables/providers/test_lantern.py": passed_over(LANTERN),
    "python -m services.observables.providers.table docs/enrichers.md": passed_over(LANTERN),
    "mkdir ../sentineliq-lantern": passed_over(LANTERN),
    "cd services/gateway/console/islands && npm install --no-save && npm run build && npm run"
    " build:live": passed_over(
        "it changes the tree; tests/gateway/console/test_assets.py runs it in a copy"
    ),
    "python -m pytest ../sentineliq-lantern": passed_over(LANTERN),
    "python -m pip install ../sentineliq-lantern": passed_over(LANTERN),
    'python -c "from services.observables.providers.registry import enricher_named; '
    "print(enricher_named('lantern').title)\"": passed_over(LANTERN),
}
"""By the command as the page has it."""
BEGINNINGS: dict[str, Treatment] = {
    "cp services/observables/providers/lantern.py ": passed_over(LANTERN),
    "cp tests/observables/providers/test_lantern.py ": passed_over(LANTERN),
    "sed -i 's/services.observables.providers.lantern/": passed_over(LANTERN),
    "sentineliq login --link ": passed_over(LINK),
    "sentineliq members change lee@": Treatment(EXAMPLE_ID, codes=(1,), says="no member"),
    "sentineliq members reset lee@": Treatment(EXAMPLE_ID, codes=(1,), says="no member"),
    "sentineliq members remove lee@": Treatment(EXAMPLE_ID, codes=(1,), says="no member"),
    "sentineliq sessions ": Treatment(PERSON, codes=(1,), says="signed in"),
    "sentineliq keys create ": Treatment(PERSON, codes=(1,), says="member of the tenant"),
    "sentineliq keys rotate KEY_ID": passed_over(API_KEY),
    "sentineliq keys revoke KEY_ID": passed_over(API_KEY),
    'curl -H "Authorization: Bearer $KEY"': passed_over(API_KEY),
    "sentineliq auth explain PERSON": Treatment(EXAMPLE_ID, codes=(1,), says="PERSON"),
    "sentineliq gateway edge nginx --server-name ": passed_over(NGINX),
    "nginx -t": passed_over(NGINX),
    "tar -C ": passed_over(COPY),
    "chmod 600 sentineliq-backup": passed_over(COPY),
    "mkdir -m 700 restored": passed_over(COPY),
    "sentineliq up --data-dir restored": passed_over(COPY),
    "sentineliq observables count --data-dir restored": passed_over(COPY),
    "sentineliq consumers gaps --data-dir restored": passed_over(COPY),
    "sentineliq doctor --data-dir restored": passed_over(COPY),
}
"""By how a longer command begins."""


def treatment_of(text: str) -> Treatment:
    """How a command is run."""
    if text in TREATMENTS:
        return TREATMENTS[text]
    for beginning, treatment in BEGINNINGS.items():
        if text.startswith(beginning):
            return treatment
    return Treatment("as it stands")
