"""What Porescope raises when it cannot go on: one sentence that says what to do."""

import sys


class PorescopeError(Exception):
    """Something is wrong with the input, the parameters or the machine; the message says what."""


class MissingMetadata(PorescopeError):
    """A file does not tell what is needed; the user is asked rather than served a guess.

    Parameters
    ----------
    message : str
        The question, with the way to answer it.
    missing : tuple of str
        What is missing: any of ``"z"``, ``"y"``, ``"x"`` (spacing) and ``"beam_kv"``.
    """

    def __init__(self, message: str, missing: tuple[str, ...]) -> None:
        super().__init__(message)
        self.missing = missing


class Cancelled(PorescopeError):
    """The user stopped the work; nothing half-written is left."""

    def __init__(self, message: str = "Cancelled; nothing was written.") -> None:
        super().__init__(message)


class PorescopeWarning(UserWarning):
    """Something was decided for the user that they may want to know, such as a cut data bar."""


def show_warning(message: Warning | str, *details: object, **more: object) -> None:
    """Print a warning as a sentence, in place of ``warnings.showwarning``."""
    print(f"porescope: {message}", file=sys.stderr)
