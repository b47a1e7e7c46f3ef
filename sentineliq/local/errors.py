"""What goes wrong on one machine, said to the person who has to act."""


class StackError(Exception):
    """The one-machine stack cannot start or go on; the message says what to do."""
