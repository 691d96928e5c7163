"""The slips a user can make; the command line prints them as one line, without a traceback."""


class UserError(Exception):
    """Something the user gave cannot be used; the message says what, where, and what to do."""


class ConfigError(UserError):
    """A setting is unknown, of the wrong type, or breaks a rule."""


class VolumeError(UserError):
    """A volume is missing, unreadable, or does not fit what it is used with."""


class CheckpointError(UserError):
    """A checkpoint is missing, is not one, or belongs to another network."""


class DeviceError(UserError):
    """The machine has not got what the settings ask for."""


class PredictionError(UserError):
    """A network gave something that cannot be a prediction."""
