"""Fitted models: calibrated on documents they have not seen, kept whole, the same however they are asked."""

import math
from pathlib import Path

import numpy as np
import pytest

from demo import texts
from demo.classifiers import fitted, fitting
from demo.classifiers.minilm import MOST_TOKENS, MiniLM
from demo.classifiers.models import MOST_CHARACTERS, Classifiers, TextTooLongError
from demo.classifiers.ngrams import Vocabulary
from demo.sentence import DEMO_SENTENCE, KEEP_FROM

# A sample keeps the test short; `python -m demo.classifiers --report` measures all of them.
SAMPLE = 4


@pytest.fixture(scope="module")
def held_out(models_directory: Path) -> list[texts.Sentence]:
    """Sentences of documents that no model has seen."""
    return [sentence for sentence in texts.read(models_directory) if sentence.held_out][::SAMPLE]


def judged(classifiers: Classifiers, model: str, sentences: list[texts.Sentence]) -> list[tuple[bool, float]]:
    """Right or wrong and how sure, a sentence."""
    readings = [(sentence.label, classifiers.classify(model, sentence.text)) for sentence in sentences]
    return [(reading.best == label, reading.confidence) for label, reading in readings]


@pytest.mark.parametrize("model", fitted.MODELS)
def test_a_model_is_about_as_right_as_it_says(
    classifiers: Classifiers, held_out: list[texts.Sentence], model: str
) -> None:
    answers = judged(classifiers, model, held_out)
    said = sum(confidence for _right, confidence in answers) / len(answers)
    right = sum(right for right, _confidence in answers) / len(answers)
    assert right > 0.5  # always the commonest label would be right for 0.39
    assert abs(said - right) < 0.08
    kept = [right for right, confidence in answers if confidence >= KEEP_FROM]
    assert sum(kept) / len(kept) > KEEP_FROM - 0.08


def test_the_dearer_model_is_right_more_often(classifiers: Classifiers, held_out: list[texts.Sentence]) -> None:
    right = [sum(right for right, _sure in judged(classifiers, model, held_out)) for model in ("lexicon", "minilm")]
    assert right[0] < right[1]


@pytest.mark.parametrize("model", fitted.MODELS)
@pytest.mark.parametrize("text", [DEMO_SENTENCE, "", "😀 ∑ " * 40, "\x00", "A", "x" * 2000])
def test_probabilities_are_probabilities(classifiers: Classifiers, model: str, text: str) -> None:
    if model == "minilm" and len(text) == 2000:
        text = text[:200]
    reading = classifiers.classify(model, text)
    assert math.fsum(map(math.exp, reading.log_probabilities)) == pytest.approx(1)
    assert reading.confidence >= 1 / len(texts.LABELS)
    assert reading.tokens >= 0


def test_tokens_are_words_or_wordpieces(classifiers: Classifiers) -> None:
    said = "The zip broke, unfortunately."
    assert [classifiers.classify(model, said).tokens for model in fitted.MODELS] == [4, 4, 8]


@pytest.mark.parametrize("model", fitted.MODELS)
def test_a_longer_text_than_a_model_reads_is_refused(classifiers: Classifiers, model: str) -> None:
    with pytest.raises(TextTooLongError, match=f"{model} reads at most {MOST_CHARACTERS}"):
        classifiers.classify(model, "a " * MOST_CHARACTERS)


def test_minilm_refuses_more_wordpieces_than_it_reads(classifiers: Classifiers) -> None:
    assert classifiers.classify("minilm", "good " * (MOST_TOKENS - 2)).tokens == MOST_TOKENS
    with pytest.raises(TextTooLongError, match=f"has {MOST_TOKENS + 1} wordpieces; minilm reads at most {MOST_TOKENS}"):
        classifiers.classify("minilm", "good " * (MOST_TOKENS - 1))


def test_a_text_has_one_embedding_alone_and_among_others(models_directory: Path) -> None:
    model = MiniLM(models_directory / texts.TOKENIZER)
    said = [DEMO_SENTENCE, "Short.", "The sleeves are too short and the colour fades in the wash. " * 3]
    together = fitting.embed(said, model, lambda _said: None)
    alone = np.concatenate([model.embed([model.tokens(text)]) for text in said])
    assert np.abs(together - alone).max() < 1e-5
    assert np.linalg.norm(together, axis=1) == pytest.approx(1)


def test_like_sentences_have_like_embeddings(classifiers: Classifiers) -> None:
    late, delayed, lamp = (
        classifiers.embed(text)[0]
        for text in ("The parcel came late.", "My delivery was delayed.", "This lamp is bright green.")
    )
    assert late @ delayed > late @ lamp + 0.3


def test_numbers_come_back_as_they_were(models_directory: Path, tmp_path: Path) -> None:
    kept = fitted.Fitted.load(fitted.path(models_directory))
    assert kept
    kept.save(tmp_path / "again.npz")
    again = fitted.Fitted.load(tmp_path / "again.npz")
    assert again
    assert (again.vocabulary.words, again.vocabulary.runs) == (kept.vocabulary.words, kept.vocabulary.runs)
    columns, values = again.vocabulary.features(DEMO_SENTENCE)
    head = kept.heads["tfidf"]
    assert (again.heads["tfidf"].log_probabilities(values, columns) == head.log_probabilities(values, columns)).all()


@pytest.mark.parametrize("cut", [0, 100, 5000, -1])
def test_damaged_numbers_are_not_read(models_directory: Path, tmp_path: Path, cut: int) -> None:
    whole = fitted.path(models_directory).read_bytes()
    (tmp_path / "cut.npz").write_bytes(whole[:cut])
    assert fitted.Fitted.load(tmp_path / "cut.npz") is None
    assert fitted.Fitted.load(tmp_path / "missing.npz") is None


def test_a_vocabulary_keeps_what_several_texts_share() -> None:
    vocabulary = Vocabulary.of(["good lamp", "good table", "good, good rug"])
    assert list(vocabulary.words) == ["good"]
    assert " go" in vocabulary.runs
    columns, values = vocabulary.features("Good sofa")
    assert {vocabulary.words["good"], vocabulary.runs["oo"]} <= set(columns.tolist())
    assert len(set(columns.tolist())) == columns.size
    assert np.square(values).sum() == pytest.approx(2)
    assert vocabulary.features("")[0].size == 0
