"""What ends a command without a traceback: a user's mistake, exit code 2, and a training that was stopped."""


class UserError(Exception):
    """Bad input (a file, a key, a value). `str(error)` is one line: what, where, what is allowed, what to do."""


class TrainingInterruptedError(Exception):
    """Training was asked to stop; its state is saved."""
