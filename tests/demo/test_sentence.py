"""The demo's story rests on what its real models say to real sentences."""

import pytest

from demo import texts
from demo.classifiers.models import Classifiers
from demo.sentence import DEMO_LABEL, DEMO_SENTENCE, KEEP_FROM, LOWERED_KEEP_FROM, OTHER_SENTENCES

LADDER = ("lexicon", "tfidf", "minilm")


def end(classifiers: Classifiers, sentence: str, keep_from: float) -> tuple[str, str | None]:
    """The model that is sure enough first, and its label; "person" where none is."""
    for model in LADDER:
        reading = classifiers.classify(model, sentence)
        if reading.confidence >= keep_from:
            return model, texts.LABELS[reading.best]
    return "person", None


def test_no_model_is_sure_of_the_demo_sentence(classifiers: Classifiers) -> None:
    assert end(classifiers, DEMO_SENTENCE, KEEP_FROM) == ("person", None)


def test_a_lower_threshold_keeps_it_one_rung_before_the_person(classifiers: Classifiers) -> None:
    assert end(classifiers, DEMO_SENTENCE, LOWERED_KEEP_FROM) == (LADDER[-1], DEMO_LABEL)


@pytest.mark.parametrize(("sentence", "model", "label"), OTHER_SENTENCES)
def test_other_sentences_end_where_they_say(
    classifiers: Classifiers, sentence: str, model: str, label: str | None
) -> None:
    assert end(classifiers, sentence, KEEP_FROM) == (model, label)
