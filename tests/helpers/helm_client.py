"""HELM's own client and tokenizer, asked over HTTP; run by an interpreter that has crfm-helm.

Reads a list of requests from standard input, sends all of them at once, and prints the results:
`{"request": {...}}` for the client, `{"tokenize": {...}}` and `{"decode": {...}}` for the
tokenizer.
"""

from __future__ import annotations

import json
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from typing import Any


def main() -> None:
    """Answer the requests of standard input by the server whose address is the argument."""
    from helm.clients.http_model_client import HTTPModelClient
    from helm.common.cache import BlackHoleCacheConfig
    from helm.common.request import Request
    from helm.common.tokenization_request import DecodeRequest, TokenizationRequest
    from helm.tokenizers.http_model_tokenizer import HTTPModelTokenizer

    cache = BlackHoleCacheConfig()
    client = HTTPModelClient(cache, base_url=sys.argv[1], timeout=300)
    tokenizer = HTTPModelTokenizer(cache, base_url=sys.argv[1])

    def ask(one: dict[str, Any]) -> Any:
        if "request" in one:
            return asdict(client.make_request(Request(**one["request"])))
        if "tokenize" in one:
            return asdict(tokenizer.tokenize(TokenizationRequest(**one["tokenize"])))
        return asdict(tokenizer.decode(DecodeRequest(**one["decode"])))

    asked = json.load(sys.stdin)
    with ThreadPoolExecutor(len(asked)) as pool:
        answers = list(pool.map(ask, asked))
    print("\n" + json.dumps(answers))


if __name__ == "__main__":
    main()
