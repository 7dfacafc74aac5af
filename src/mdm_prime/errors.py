"""The one exception a user may cause: its message is the whole report, and the exit code is 2."""


class UserError(Exception):
    """Bad input (a file, a key, a value). `str(error)` is one line: what, where, what is allowed, what to do."""
