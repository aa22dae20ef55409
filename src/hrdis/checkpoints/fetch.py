"""Fetch the files of a prior, or a model of the Hugging Face hub, and check what came."""

import os
from pathlib import Path

from ..files import lock, replace, sha256, write_text
from ..messages import one_line
from . import hub
from .cards import Card, File, expected_hash, pin, verify
from .download import Download, FetchError, Report, by_hand, repeat


def fetch_prior(card: Card, report: Report = lambda *_: None, pause: float = 1.0) -> list[str]:
    """Download the missing files of a prior, and compare all files with their hashes.

    A transfer that breaks is resumed where it stopped, now or by a later call. The server must be
    able to do that, and its file must still be the same (by its ETag or date). Proxies are those of
    the environment. Other processes that fetch the same prior wait for this one.

    Args:
        card: the card of the prior.
        report: called after every piece.
        pause: seconds before the second attempt; twice as many before each further one.

    Returns:
        a line for every file that was fetched; none if all were there.

    Raises:
        FetchError: without a network, free space or such a file, or for another file than the
            card's.
        ValueError: if a file that was there already is another one.
    """
    lines = []
    with lock(card.folder / ".lock"):
        for file in card.missing:
            lines.append(_fetch(card, file, report, pause))
        verify(card)
    return lines


def fetch_model(repo: str, scheme: str = "diffusers") -> list[str]:
    """Download a model of the Hugging Face hub into its cache, and pin its revision and the hashes
    of its files.

    A model that was pinned before is fetched at that revision.

    Args:
        repo: its id, OWNER/NAME.
        scheme: the scheme it is loaded by, for the messages.

    Returns:
        a line about what was fetched; none if all was there.

    Raises:
        FetchError: without a network or such a model, or if HRDIS_OFFLINE is set.
        ValueError: if its files are not those that were pinned.
    """
    pinned, folder = hub.revision(repo), hub.fetched(repo)
    if folder is not None and pinned is not None:
        verify(hub.card_of(repo, folder))
        return []
    if forbidden():
        raise FetchError(
            f"HRDIS_OFFLINE is set, so the model {repo!r} was not fetched. "
            f"{_copied_by_hand(repo, scheme)}"
        )
    folder = _snapshot(repo, pinned, hub.FILES, scheme)
    whole = "diffusion_pytorch_model.safetensors"
    if not (folder / whole).exists() and not (folder / "unet" / whole).exists():
        folder = _snapshot(repo, pinned, hub.SHARDS, scheme)
        if not list(folder.rglob("*.index.json")):
            folder = _snapshot(repo, pinned, hub.OTHERS, scheme)
    found = verify(hub.card_of(repo, folder))
    commit = folder.name
    write_text(hub.revision_file(repo), f"{commit}\n")
    return [f"{folder}: {len(found)} files at revision {commit}, pinned. Load it: {scheme}:{repo}"]


def forbidden() -> bool:
    """Return True if HRDIS_OFFLINE forbids the network."""
    return os.environ.get("HRDIS_OFFLINE", "") not in ("", "0")


def _snapshot(repo: str, commit: str | None, patterns: list[str], scheme: str) -> Path:
    from huggingface_hub import constants, snapshot_download
    from huggingface_hub.errors import (
        GatedRepoError,
        OfflineModeIsEnabled,
        RepositoryNotFoundError,
    )

    try:
        return Path(snapshot_download(repo, revision=commit, allow_patterns=patterns))
    except GatedRepoError:
        reason = "its owners ask for a login and their consent (`hf auth login`)"
    except RepositoryNotFoundError:
        raise FetchError(
            f"There is no model {repo!r} on {constants.ENDPOINT}. The id of one is expected: hrdis "
            "model download diffusers:google/ddpm-celebahq-256"
        ) from None
    except Exception as error:  # whatever the network does, the fix is the same
        reason = one_line(error)[:200] or type(error).__name__
        if constants.HF_HUB_OFFLINE or isinstance(error, OfflineModeIsEnabled):
            reason = "HF_HUB_OFFLINE is set"
    raise FetchError(
        f"The model {repo!r} cannot be fetched: {reason}. {_copied_by_hand(repo, scheme)}"
    )


def _copied_by_hand(repo: str, scheme: str) -> str:
    name = repo.split("/")[1]
    return (
        f"Where there is a network, run `hf download {repo} --local-dir {name}`, copy the folder "
        f"here, and load that: {scheme}:./{name}"
    )


def _fetch(card: Card, file: File, report: Report, pause: float) -> str:
    """Download one file into its place, from the start or from what an earlier call left."""
    place = card.folder / file.name
    if not file.url:
        raise FetchError(
            f"{place} is missing, and the card of {card.name!r} names no address. Put the file "
            "there."
        )
    if forbidden():
        raise FetchError(
            f"HRDIS_OFFLINE is set, so {file.url} was not fetched. {by_hand(card, file)}"
        )
    if not file.url.startswith(("http://", "https://")):
        raise FetchError(
            f"The address {file.url} is not one of the web. https://... is expected; a file on "
            f"this machine is added where it is: hrdis model add NAME {card.scheme}:PATH"
        )
    place.parent.mkdir(parents=True, exist_ok=True)
    expected = expected_hash(card, file)
    download = Download(card, file, report, hashed=expected is not None)
    repeat(download, pause)
    digest = sha256(download.part)
    if expected is not None and digest != expected:
        download.forget()
        raise FetchError(
            f"{file.url} is not the file of the prior {card.name!r}: its SHA-256 is {digest}, "
            f"{expected} is expected. It was removed. Ask the authors which is right: "
            f"{card.origin or file.url}"
        )
    if expected is None:
        pin(card, file, digest)
    replace(download.part, place)
    download.forget()
    note = "pinned: nobody published a hash"
    if file.sha256:
        note = "as published"
    elif expected:
        note = "as pinned before"
    return f"{place} ({place.stat().st_size / 1e6:.1f} MB), SHA-256 {digest}, {note}"
