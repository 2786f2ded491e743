"""Patients under keyed hashes: the study knows who is who, and nobody else can work it out.

Version 0.1 hashed every number together with the name of its source. Such names stay: whoever is in
a study under one keeps it, and newcomers are looked up under it too.
"""

from __future__ import annotations

import hmac
import secrets
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from pipelines.data.decoding import Decoded
from pipelines.data.folders import NIH_REGISTER
from pipelines.data.listing import SourceImage
from pipelines.data.patient_numbers import FILE_PREFIX, is_known, is_placeholder
from pipelines.data.private_files import write_private
from pipelines.study.import_log import ImportSummary
from pipelines.study.manifest import Row
from pipelines.study.workspace import Workspace

PATIENT_KEY_FILE = "patients.key"


@dataclass(frozen=True)
class Patient:
    """A patient.

    Attributes:
        name: In the manifest.
        number: As its source numbers it.
        also: Further patients of the study who turn out to be the same.
        own_names: Hashes of its number in each register that has it.
    """

    name: str
    number: str
    also: tuple[str, ...] = ()
    own_names: tuple[str, ...] = ()


@dataclass(frozen=True)
class KnownPatients:
    """Who is in a study.

    Attributes:
        names: In the manifest, by each name under which a patient is known.
        sources: Whose images the study has.
        early_sources: Those of imports by version 0.1.
    """

    names: Mapping[str, str]
    sources: frozenset[str]
    early_sources: frozenset[str]


def read_known_patients(rows: Sequence[Row], imports: Sequence[ImportSummary]) -> KnownPatients:
    """Tell who is in a study by its manifest and by what its imports wrote down."""
    names = {row.patient: row.patient for row in rows}
    for summary in imports:
        names |= summary.patient_aliases
    sources = frozenset(row.source for row in rows)
    has_early = any(summary.same_patients is None for summary in imports)
    return KnownPatients(names, sources, sources if has_early or not imports else frozenset())


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


def identify_patients(
    images: Sequence[SourceImage],
    decoded: Sequence[Decoded],
    key: bytes,
    known: KnownPatients,
    *,
    same_patients: bool = False,
) -> list[Patient]:
    """Name the patients of images. Phantoms are nobody, and keep their names.

    A number counts within its source, unless it is of a register of several: NIH's, a published
    collection's, that of an issuer or institution which DICOM names.

    known: who is in the study, under which names.
    same_patients: a number is one patient in all sources, those of the study included.
    """
    sources = sorted({image.source for image in images} | known.sources) if same_patients else []
    names: list[list[str]] = []  # hashed, of each image
    links = _Links()
    for image, result in zip(images, decoded, strict=True):
        own = [keyed_hash(key, text)[:16] for text in _own_names(image, result)]
        links.join([*own, *_other_names(image, result, key, known, sources)])
        names.append(own)
    return _settle_names(images, decoded, names, links, known)


def _settle_names(
    images: Sequence[SourceImage],
    decoded: Sequence[Decoded],
    names: Sequence[list[str]],
    links: _Links,
    known: KnownPatients,
) -> list[Patient]:
    """Choose one name for each patient: the one in the study, or else the first."""
    in_study: dict[str, list[str]] = defaultdict(list)  # by root
    for name in links.parents:
        if name in known.names and known.names[name] not in in_study[links.root(name)]:
            in_study[links.root(name)].append(known.names[name])
    first: dict[str, str] = {}
    patients = []
    for image, result, own in zip(images, decoded, names, strict=True):
        number = number_of(image, result)
        if image.note:
            patients.append(Patient(f"{image.source}:{number}", number))
            continue
        root = links.root(own[0])
        candidates = in_study[root] or [first.setdefault(root, own[0])]
        patients.append(Patient(candidates[0], number, tuple(candidates[1:]), tuple(own)))
    return patients


def number_of(image: SourceImage, decoded: Decoded) -> str:
    """Return the number of an image's patient, made of its file's name where there is none."""
    from_header = decoded.patient
    if image.folder_patient and (not from_header or is_placeholder(from_header)):
        from_header = image.folder_patient
    return image.patient or from_header or f"{FILE_PREFIX}{image.origin}"


def _own_names(image: SourceImage, decoded: Decoded) -> list[str]:
    """Return the names, not hashed, of an image's patient: its number in each of its registers."""
    number = number_of(image, decoded)
    names = [f"{image.register}:{number}" if image.register else f"{image.source}:{number}"]
    if image.nih_number:
        names = [f"{NIH_REGISTER}:{image.nih_number}"] + names * (image.nih_number != number)
    if _has_issuer(decoded) and number == decoded.patient and not is_placeholder(number):
        names.append(f"DICOM {decoded.issuer}:{number}")
    return names


def _has_issuer(decoded: Decoded) -> bool:
    return bool(decoded.issuer) and not is_placeholder(decoded.issuer)


def _other_names(
    image: SourceImage, decoded: Decoded, key: bytes, known: KnownPatients, sources: Sequence[str]
) -> list[str]:
    """Return hashed names under which the study may have an image's patient besides.

    sources: those whose numbers are the same people's.
    """
    number = number_of(image, decoded)
    if image.note or not is_known(number):
        return []
    texts = {f"{source}:{number}" for source in sources}
    if sources:
        texts |= {f"{register}:{number}" for register in (NIH_REGISTER, image.register) if register}
    if image.register or image.nih_number or _has_issuer(decoded):
        # Version 0.1 counted every number within its source.
        texts |= {f"{source}:{number}" for source in known.early_sources}
    if image.nih_number:
        texts |= {f"{source}:{image.nih_number}" for source in known.early_sources}
    return [keyed_hash(key, text)[:16] for text in sorted(texts)]


def find_shared_numbers(
    images: Sequence[SourceImage], patients: Sequence[Patient], key: bytes, known: KnownPatients
) -> tuple[list[str], list[str]]:
    """Return the numbers that are of different patients in several sources, and these sources."""
    people: dict[str, dict[str, set[str]]] = defaultdict(lambda: defaultdict(set))
    for image, patient in zip(images, patients, strict=True):
        if not image.note and is_known(patient.number) and not is_placeholder(patient.number):
            people[patient.number][image.source].add(patient.name)
    shared, sources = [], set()
    for number, of_source in people.items():
        for source in known.sources - set(of_source):
            name = known.names.get(keyed_hash(key, f"{source}:{number}")[:16])
            if name:
                of_source[source].add(name)
        if len(of_source) > 1 and len(set().union(*of_source.values())) > 1:
            shared.append(number)
            sources |= set(of_source)
    return shared, sorted(sources)


def keyed_hash(key: bytes, text: str) -> str:
    """Return 64 hexadecimal digits that tell nothing of a text to who has not the key."""
    return hmac.digest(key, text.encode(errors="surrogateescape"), "sha256").hex()


class _Links:
    """Names that are of one patient (union-find)."""

    def __init__(self) -> None:
        self.parents: dict[str, str] = {}

    def join(self, names: Sequence[str]) -> None:
        """Make these the names of one patient."""
        roots = [self.root(name) for name in names]
        for root in roots[1:]:
            self.parents[self.root(root)] = self.root(roots[0])

    def root(self, name: str) -> str:
        """Return the name that stands for all of a patient's."""
        self.parents.setdefault(name, name)
        while self.parents[name] != name:
            self.parents[name] = self.parents[self.parents[name]]
            name = self.parents[name]
        return name
