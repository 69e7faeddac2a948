"""Publish a run to a repository of the Hugging Face hub, and open one that was published.

    address.py      `hf://OWNER/NAME@REVISION`
    layout.py       the files of a published repository, and what each is
    lineage.py      the statement that joins base, data, recipe hash and published files
    upload.py       one commit with all files, confirmed by the hub's own digests
    repository.py   list and download a published repository, within bounds

Nothing here writes to a run or a store.
"""
