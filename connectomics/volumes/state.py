"""Whether a volume's files are unchanged: their names, sizes and modification times."""

from __future__ import annotations

from hashlib import sha256
from pathlib import Path

from connectomics.errors import VolumeError
from connectomics.volumes.read import split_location
from connectomics.volumes.section_files import is_pattern
from connectomics.volumes.source import VolumeSource


def state_of_files(source: VolumeSource) -> str:
    """Return, in one word, the dataset and the sizes and times of change of the files that a volume is read from.

    The files of links and virtual datasets count too. The folder around a file or a store does not.

    Raises:
        VolumeError: If a file cannot be looked at any more.
    """
    if source.info.state:  # nothing else can be told of what others store, without reading all of it
        return f"{source.info.location} {source.info.state}"
    path, dataset = split_location(source.info.location)
    inside = sorted(file for file in path.rglob("*") if file.is_file()) if path.is_dir() else [path]
    if is_pattern(path):  # whose files are those that were found when it was opened
        inside = []
    names = [(file, str(file.relative_to(path.parent))) for file in inside]
    names += [(Path(file), Path(file).name) for file in source.info.files]
    digest = sha256()
    try:
        for file, name in names:
            state = file.stat()
            digest.update(f"{name} {state.st_size} {state.st_mtime_ns}\n".encode())
    except OSError as error:
        raise VolumeError(f"{source.info.location} cannot be read any more: {error.strerror or error}") from error
    return f"{path.name}{f':{dataset}' if dataset else ''} {digest.hexdigest()}"
