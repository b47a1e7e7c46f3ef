"""Errors of the one-machine stack, for the person who has to act."""


class StackError(Exception):
    """The stack cannot start or continue; the message says what to do."""
