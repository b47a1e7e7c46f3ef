"""All screens of the console."""

from typing import Final

from services.gateway.console.screens import (
    account,
    administration,
    attack,
    channels,
    digests,
    feeds,
    graph,
    inbox,
    lists,
    members,
    notifications,
    observable,
    observables,
    operations,
    overview,
    providers,
    rules,
    schedules,
    search,
    sign_in,
    silences,
    watchlists,
)
from services.gateway.console.visits import Screen

OPEN_SCREENS: Final[list[Screen]] = sign_in.SIGN_IN_SCREENS
"""What a browser gets before its person has signed in."""
SCREENS: Final[list[Screen]] = [
    *OPEN_SCREENS,
    *sign_in.SCREENS,
    *overview.SCREENS,
    *search.SCREENS,
    *observables.SCREENS,
    *observable.SCREENS,
    *graph.SCREENS,
    *feeds.SCREENS,
    *attack.SCREENS,
    *rules.SCREENS,
    *channels.SCREENS,
    *inbox.SCREENS,
    *silences.SCREENS,
    *digests.SCREENS,
    *watchlists.SCREENS,
    *notifications.SCREENS,
    *lists.SCREENS,
    *schedules.SCREENS,
    *operations.SCREENS,
    *account.SCREENS,
    *members.SCREENS,
    *providers.SCREENS,
    *administration.SCREENS,
]
