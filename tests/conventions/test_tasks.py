"""Every registered Celery task of every service keeps the conventions of docs/tasks.md."""

import ast
import inspect
import re
import textwrap
import typing
from types import UnionType

import pytest
from celery import Celery, Task

from shared.errors import SentinelIQError, Unavailable
from shared.runtime.process import load_celery_app
from shared.runtime.queues import QUEUES
from shared.settings import SERVICES, Settings

JSON_TYPES = {str, int, float, bool, dict, list, type(None)}


@pytest.fixture(params=SERVICES)
def app(request: pytest.FixtureRequest, environment: Settings) -> Celery:
    """Each service's Celery app, with its tasks."""
    celery_app: Celery = load_celery_app(request.param)
    return celery_app


@pytest.fixture
def tasks(app: Celery) -> list[Task]:
    """What the service registers itself, and the ping that every service has."""
    homes = (f"services.{app.main}.", "shared.runtime.celery")
    own = [task for _, task in sorted(app.tasks.items()) if task.run.__module__.startswith(homes)]
    assert own, f"{app.main} registers no task"
    return own


def test_every_app_has_one_queue_and_the_brokers_address(
    app: Celery, environment: Settings
) -> None:
    assert app.conf.task_default_queue == QUEUES[app.main]
    assert [queue.name for queue in app.conf.task_queues] == [QUEUES[app.main]]
    assert app.conf.broker_url == environment.celery_broker_url.get_secret_value()


def test_every_app_registers_its_own_tasks_and_no_others(app: Celery, tasks: list[Task]) -> None:
    """Services may share one process's imports; a worker still registers only its own tasks."""
    registered = {name for name in app.tasks if not name.startswith("celery.")}
    assert registered == {task.name for task in tasks}


def test_every_app_speaks_json_and_gives_up_before_the_broker_does(app: Celery) -> None:
    assert (app.conf.task_serializer, app.conf.accept_content) == ("json", ["json"])
    assert app.conf.worker_prefetch_multiplier == 1
    assert app.conf.task_soft_time_limit < app.conf.task_time_limit
    assert app.conf.task_time_limit < app.conf.broker_transport_options["visibility_timeout"]


def test_tasks_are_named_explicitly_after_their_service(app: Celery, tasks: list[Task]) -> None:
    for task in tasks:
        assert re.fullmatch(rf"{app.main}\.tasks\.[a-z]+(_[a-z0-9]+)+", task.name), (
            "<service>.tasks.<verb_noun>"
        )
        assert "name" in _decorator(task), f"{task.name}: the name is written down, not derived"


def test_tasks_have_a_docstring_of_their_own(tasks: list[Task]) -> None:
    for task in tasks:
        documentation = inspect.getdoc(task.run) or ""
        assert re.match(r"[A-Z].+[.;!?)]", documentation), (
            f"{task.name}: one sentence that says what it does"
        )


def test_tasks_are_acknowledged_late_and_requeued_when_their_worker_dies(tasks: list[Task]) -> None:
    for task in tasks:
        assert task.acks_late, task.name
        assert task.reject_on_worker_lost, task.name
        assert task.serializer == "json", task.name


def test_tasks_are_tried_again_a_few_times_and_only_when_that_may_help(tasks: list[Task]) -> None:
    for task in tasks:
        assert all(
            issubclass(error, SentinelIQError) and error.retryable for error in task.autoretry_for
        ), task.name
        assert Unavailable in task.autoretry_for, task.name
        assert 0 < task.max_retries <= 10, task.name
        assert task.retry_backoff, task.name
        assert task.retry_jitter, task.name
        assert task.retry_backoff_max <= 600, task.name


LEASED = {"feeds.tasks.run_feed"}
"""Tasks whose row has a lease: a message that the broker delivers again does nothing."""


def test_the_time_of_tasks_is_limited(app: Celery, tasks: list[Task]) -> None:
    for task in tasks:
        limit = task.time_limit or app.conf.task_time_limit
        soft = task.soft_time_limit or app.conf.task_soft_time_limit
        assert 0 < soft < limit, task.name
        assert (
            task.name in LEASED or limit < app.conf.broker_transport_options["visibility_timeout"]
        ), task.name


def test_tasks_take_json_and_return_a_dictionary_with_a_status(tasks: list[Task]) -> None:
    for task in tasks:
        hints = typing.get_type_hints(task.run)
        assert typing.get_origin(hints.pop("return", None)) is dict, task.name
        arguments = [hint for name, hint in hints.items() if name not in {"self", "_self"}]
        assert all(_is_json(hint) for hint in arguments), task.name
        returned = [
            node.value for node in ast.walk(_function(task)) if isinstance(node, ast.Return)
        ]
        assert returned, task.name
        assert all(_may_have_a_status(value) for value in returned), task.name


def _is_json(hint: object) -> bool:
    if isinstance(hint, UnionType):
        return all(_is_json(part) for part in typing.get_args(hint))
    return (typing.get_origin(hint) or hint) in JSON_TYPES


def _may_have_a_status(value: ast.expr | None) -> bool:
    """Look for the key in a literal; what a called function returns is that function's test."""
    if isinstance(value, ast.Dict):
        return (
            any(isinstance(key, ast.Constant) and key.value == "status" for key in value.keys)
            or None in value.keys
        )
    return value is not None


def _function(task: Task) -> ast.FunctionDef:
    source = ast.parse(textwrap.dedent(inspect.getsource(inspect.unwrap(task.run))))
    return next(node for node in source.body if isinstance(node, ast.FunctionDef))


def _decorator(task: Task) -> set[str | None]:
    return {
        word.arg
        for call in _function(task).decorator_list
        if isinstance(call, ast.Call)
        for word in call.keywords
    }
