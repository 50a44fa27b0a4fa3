"""The errors that Sightline raises on purpose.

Each carries one sentence: what was wrong, where, and what to do about it. The command line prints that sentence
and exits with ``exit_code``; the API answers with ``status``. Anything else that escapes is a defect.
"""

from __future__ import annotations


class SightlineError(Exception):
    """Base of every error meant for a person to read."""

    exit_code = 2
    status = 400


class SourceError(SightlineError):
    """A map extract, image or data folder that cannot be read as what it claims to be."""


class GalleryError(SightlineError):
    """A gallery folder that is missing, incomplete, damaged or not the one expected."""


class IndexMismatch(SightlineError):
    """An index that does not belong to the encoder or the gallery it is used with."""


class ModelError(SightlineError):
    """Weights or a tokenizer that are missing, damaged or of another model."""


class ServerUnavailable(SightlineError):
    """The model server cannot be reached or did not answer in time."""

    exit_code = 3
    status = 503


class ReplyError(SightlineError):
    """The model answered, but not in the form that was asked for."""

    status = 502
