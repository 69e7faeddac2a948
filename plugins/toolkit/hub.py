"""The Hugging Face hub's own client, and its exceptions in words that say what to do."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from ...schema.errors import FetchError, KhichdiError
from ..side_effects import loading
from .offline import WITHOUT_NETWORK
from .scrubbing import first_line

if TYPE_CHECKING:
    from huggingface_hub import HfApi

LOGIN = "log in with `hf auth login` or set HF_TOKEN"


def hub_client() -> HfApi:
    """Return a client of the hub, or of HF_ENDPOINT; without a terminal it shows no progress."""
    with loading():
        from huggingface_hub import HfApi
        from huggingface_hub.utils import disable_progress_bars

    if not sys.stderr.isatty():
        disable_progress_bars()
    return HfApi(endpoint=os.environ.get("HF_ENDPOINT") or None)


@contextmanager
def hub_errors(
    place: str,
    *,
    revision: str,
    absent: str = "",
    kind: type[KhichdiError] = FetchError,
) -> Iterator[None]:
    """Translate the client's exceptions; the client's own may hold a signed address.

    Args:
        place: the repository, for messages.
        revision: the revision that is asked for.
        absent: what else to look at where there is no such repository.
        kind: the error to raise.
    """
    from huggingface_hub import errors as hub

    try:
        yield
    except KhichdiError:
        raise
    except hub.GatedRepoError:
        raise kind(
            f"{place} is gated: its owners give access to those who accept their conditions",
            hint=f"accept them on the repository's page, then {LOGIN}",
        ) from None
    except hub.RevisionNotFoundError:
        raise kind(
            f"{place} has no revision `{revision}`",
            hint="name a branch, a tag, or a commit in full",
        ) from None
    except hub.RepositoryNotFoundError:
        raise kind(
            f"{place} is not on the hub, or is private",
            hint=f"look at the name; {absent}if it is private, {LOGIN}",
        ) from None
    except hub.RemoteEntryNotFoundError as error:
        raise kind(
            f"{place}: a pinned file is gone: {first_line(error)}",
            hint="the history of the repository was rewritten; pin again with `recipe lock`",
        ) from None
    except (hub.OfflineModeIsEnabled, hub.LocalEntryNotFoundError) as error:
        raise kind(
            f"{place}: the hub cannot be reached: {first_line(error)}",
            hint="look at the network, at HF_ENDPOINT, and whether HF_HUB_OFFLINE is set; "
            + WITHOUT_NETWORK,
        ) from None
    except Exception as error:
        # The client changes its HTTP library between versions, and with it what it raises.
        raise kind(
            f"{place}: {type(error).__name__}: {first_line(error)}",
            hint="look at the network, at HF_ENDPOINT, and at https://status.huggingface.co; "
            + WITHOUT_NETWORK,
        ) from None
