"""The slips a user can make; the command line prints them as one line, without a traceback."""


def printable(text: str) -> str:
    """Return text whose control characters, which would reach the terminal as commands, are written out."""
    return "".join(c if c.isprintable() or c in "\n\t" else c.encode("unicode_escape").decode() for c in text)


class UserError(Exception):
    """Something the user gave cannot be used; the message says what, where, and what to do, in one line."""

    def __str__(self) -> str:
        one_line = " ".join(super().__str__().split())  # what a library says of its errors may have several lines
        return printable(one_line)


class ConfigError(UserError):
    """A setting is unknown, of the wrong type, or breaks a rule."""


class VolumeError(UserError):
    """A volume is missing, unreadable, or does not fit what it is used with."""


class CheckpointError(UserError):
    """A checkpoint is missing, is not one, or belongs to another network."""


class DeviceError(UserError):
    """The machine lacks what the settings ask for."""


class PredictionError(UserError):
    """A network gave something that cannot be a prediction."""


class DownloadError(UserError):
    """A file could not be fetched, or is not the one that was meant."""


class HeldError(UserError):
    """Another process works on the same thing."""
