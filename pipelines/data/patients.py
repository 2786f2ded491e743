"""Patients under keyed hashes: the study knows who is who, and nobody else can work it out."""

from __future__ import annotations

import hmac
import secrets
from dataclasses import dataclass
from pathlib import Path

from pipelines.data.decoding import Decoded
from pipelines.data.listing import SourceImage
from pipelines.data.private_files import write_private
from pipelines.study.workspace import Workspace

PATIENT_KEY_FILE = "patients.key"


@dataclass(frozen=True)
class Patient:
    """A patient, as the manifest names it and as its source numbers it."""

    name: str
    number: str


def key_path(workspace: Workspace) -> Path:
    """Return where a study keeps its secret."""
    return workspace.data / PATIENT_KEY_FILE


def open_patient_key(workspace: Workspace, *, has_images: bool) -> bytes:
    """Read the secret that patient numbers are hashed with, made where there is none.

    Raises FileNotFoundError when the study has images and its key is gone.
    """
    path = key_path(workspace)
    if path.exists():
        try:
            return bytes.fromhex(path.read_text().strip())
        except ValueError as error:
            raise ValueError(
                f"{path} is damaged; expected 64 hexadecimal digits: bring it back from a copy, "
                "or begin a new study in another folder"
            ) from error
    if has_images:
        raise FileNotFoundError(
            f"{path} is gone, with which the patients' numbers were hashed: without it nobody can "
            "tell who is in the study already; begin a new study in another folder"
        )
    key = secrets.token_bytes(32)
    write_private(path, f"{key.hex()}\n")
    return key


def identify_patient(image: SourceImage, decoded: Decoded, key: bytes) -> Patient:
    """Name the patient of an image. Phantoms are nobody, and keep their names."""
    number = image.patient or decoded.patient or f"file {image.origin}"
    if image.note:
        return Patient(f"{image.source}:{number}", number)
    return Patient(keyed_hash(key, f"{image.source}:{number}")[:16], number)


def keyed_hash(key: bytes, text: str) -> str:
    """Return 64 hexadecimal digits that tell nothing of a text to who has not the key."""
    return hmac.digest(key, text.encode(errors="surrogateescape"), "sha256").hex()
