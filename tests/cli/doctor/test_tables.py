"""What the doctor knows without importing the services or Alembic."""

import importlib

import pytest
from alembic.script import ScriptDirectory

from sentineliq.cli.doctor.database_checks import revisions
from sentineliq.cli.doctor.kafka_checks import CONSUMED_TOPICS
from shared.migrations import alembic_config
from shared.settings import SERVICES


@pytest.mark.parametrize("service", SERVICES)
def test_consumed_topics_are_those_of_the_subscriptions(service):
    subscriptions = importlib.import_module(f"services.{service}.consumers").SUBSCRIPTIONS
    topics = {subscription.topic.name for subscription in subscriptions}
    assert set(CONSUMED_TOPICS.get(service, ())) == topics


@pytest.mark.parametrize("service", SERVICES)
def test_revisions_are_alembic_s(service):
    script = ScriptDirectory.from_config(alembic_config(service, "postgresql://localhost/x"))
    expected = [revision.revision for revision in script.walk_revisions()]
    assert revisions(service) == expected[::-1]
