"""What one engine remembers of the texts that it has judged."""

from __future__ import annotations

from playbook import Play


def test_the_memory_of_verdicts_is_bounded(play: Play) -> None:
    engine = play.session.engine
    for number in range(10_000):
        engine.classify(b"SELECT %d" % number, play.session)
        engine.flags(b"SELECT email FROM customer WHERE id = %d" % number, play.session)
        assert len(engine._verdicts) <= 1024


def test_texts_of_queries_are_not_remembered(play: Play) -> None:
    engine = play.session.engine
    assert not engine.classify_once(b"SELECT 1", play.session)
    assert engine.classify_once(b"SELECT email FROM customer", play.session)
    assert not engine._verdicts
