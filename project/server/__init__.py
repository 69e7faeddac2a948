"""Serve the model of a run over HTTP, as OpenAI's API does.

protocol.py     requests as OpenAI's clients write them, and answers as they read them
challenge.py    requests of the LLM Efficiency Challenge, which HELM sends
worker.py       the thread that has the model: a bounded queue of requests
app.py          addresses, authentication, streams of events
listening.py    listen on an address, serve until a signal
serve.py        load, serve, stop
"""
